"""Functions whose code or SDK knows no endpoint: AWS's own names lead to the services here, and TLS is trusted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.json_server import JsonServer
from tests.running import clean_environment, create_function, invoke, make_zip_bytes
from tests.runtimes import java_packages

if TYPE_CHECKING:
    from email.message import Message

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

_KEYS = [str(Path(sys.executable).parent / "lambent"), "keys", "create"]
_ROLE = "arn:aws:iam::000000000000:role/test"
_PYTHON = """
import os, socket, urllib.request
del os.environ["AWS_ENDPOINT_URL"]
import boto3

def handler(event, context):
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    s3.create_bucket(Bucket="by-name")
    s3.put_object(Bucket="by-name", Key="a b+c", Body=b"by name")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "by-name", "Key": "a b+c"})
    queue = sqs.create_queue(QueueName="by-name")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="message")
    s3.upload_fileobj(Big(9 << 20), "by-name", "big")
    return {
        "endpoint": sqs.meta.endpoint_url,
        "bucket": s3.get_object(Bucket="by-name", Key="a b+c")["Body"].read().decode(),
        "big": len(s3.get_object(Bucket="by-name", Key="big")["Body"].read()),
        "presigned": [url.split("?")[0], urllib.request.urlopen(url).read().decode()],
        "message": sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"],
        "queue": queue,
        "account": boto3.client("sts").get_caller_identity()["Account"],
        "functions": [one["FunctionName"] for one in boto3.client("lambda").list_functions()["Functions"]],
    }

class Big:
    def __init__(self, size):
        self.left = size
    def read(self, count=-1):
        given = min(self.left, 1 << 16 if count < 0 else count)
        self.left -= given
        return bytes(given)
"""
_NODE = """
const https = require("node:https");
delete process.env.AWS_ENDPOINT_URL;

function get(url) {
  return new Promise((resolve, reject) => {
    https.get(url, (answer) => {
      resolve([answer.statusCode, answer.socket.authorized]);
      answer.resume();
    }).on("error", reject);
  });
}

exports.handler = async () => {
  const { SQSClient, CreateQueueCommand, SendMessageCommand, ReceiveMessageCommand } = require("@aws-sdk/client-sqs");
  const sqs = new SQSClient({});
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: "by-name-node" }));
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "message" }));
  return {
    message: (await sqs.send(new ReceiveMessageCommand({ QueueUrl }))).Messages[0].Body,
    https: await get("https://by-name-node.s3.us-east-1.amazonaws.com/missing"),
    fetched: (await fetch("https://s3.eu-west-1.amazonaws.com/by-name-node/missing")).status,
  };
};
"""
_CURL = """#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
  id=$(curl -sS -D - -o /dev/null "$api/next" | tr -d '\\r' | sed -n 's/^lambda-runtime-aws-request-id: //Ip')
  said=$(curl -sS -o /dev/null -w '%{http_code} %{ssl_verify_result}' https://missing.s3.us-east-1.amazonaws.com/x 2>&1)
  curl -sS -X POST "$api/$id/response" -d "\\"$said\\"" >/dev/null
done
"""
_RUBY = """
require "net/http"

def handler(event:, context:)
  Net::HTTP.get_response(URI("https://missing.s3.us-east-1.amazonaws.com/x")).code
end
"""
_JAVA = """
import java.net.HttpURLConnection;
import java.net.URL;

public class Asking {
  public String handle(String name) throws Exception {
    HttpURLConnection connection = (HttpURLConnection) new URL("https://" + name + "/missing").openConnection();
    return connection.getResponseCode() + " " + connection.getClass().getSimpleName();
  }
}
"""


@pytest.fixture(scope="module")
def isolated(lambent_server_factory: ServerFactory) -> LambentServer:
    """A server that isolates as well as the machine can and whose functions have no link at all."""
    return lambent_server_factory({"neighbours.enabled": "true", "network.egress": "none"})


def test_python(isolated: LambentServer) -> None:
    client = isolated.client()
    create_function(client, "python", {"index.py": _PYTHON}, Timeout=60, MemorySize=512)
    seen = invoke(client, "python")
    assert seen.pop("functions").count("python") == 1
    assert seen == {
        "endpoint": "https://sqs.us-east-1.amazonaws.com",
        "bucket": "by name",
        "big": 9 << 20,
        "presigned": ["https://by-name.s3.amazonaws.com/a%20b%2Bc", "by name"],
        "message": "message",
        "queue": "https://sqs.us-east-1.amazonaws.com/000000000000/by-name",
        "account": "000000000000",
    }


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
@pytest.mark.parametrize("variables", [{}, {"NODE_OPTIONS": "--no-deprecation"}], ids=["waiting", "started"])
def test_nodejs(isolated: LambentServer, variables: dict[str, str]) -> None:
    client = isolated.client()
    name = f"nodejs-{len(variables)}"
    members: dict[str, Any] = {"Runtime": "nodejs20.x", "Environment": {"Variables": variables}}
    create_function(client, name, {"index.js": _NODE}, Timeout=60, MemorySize=512, **members)
    assert invoke(client, name) == {"message": "message", "https": [404, True], "fetched": 404}


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl(isolated: LambentServer) -> None:
    client = isolated.client()
    package = {"ZipFile": make_zip_bytes({"bootstrap": (_CURL, 0o755)})}
    client.create_function(
        FunctionName="curl", Runtime="provided.al2023", Handler="none", Code=package, Role=_ROLE, Timeout=60
    )
    client.get_waiter("function_active_v2").wait(FunctionName="curl")
    assert invoke(client, "curl") == "404 0"


@pytest.mark.long
@pytest.mark.skipif(shutil.which("ruby") is None, reason="needs Ruby")
def test_ruby(isolated: LambentServer) -> None:
    client = isolated.client()
    create_function(client, "ruby", {"index.rb": _RUBY}, Timeout=60, Runtime="ruby3.3")
    assert invoke(client, "ruby") == "404"


@pytest.mark.long
def test_java(isolated: LambentServer) -> None:
    reason = java_packages.skip_reason()
    if reason is not None:
        pytest.skip(reason)
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "Asking.java").write_text(_JAVA)
        classes = java_packages.compile_java(Path(directory), classpath=[])
    client = isolated.client()
    client.create_function(
        FunctionName="java",
        Runtime="java17",
        Handler="Asking::handle",
        Role=_ROLE,
        Code={"ZipFile": make_zip_bytes(classes)},
        Timeout=60,
        MemorySize=512,
    )
    client.get_waiter("function_active_v2").wait(FunctionName="java")
    assert invoke(client, "java", "missing.s3.us-east-1.amazonaws.com").startswith("404 Https")


_ASKING = """
import json, os, urllib.error, urllib.request
del os.environ["AWS_ENDPOINT_URL"]
import boto3

def handler(event, context):
    if "url" in event:
        try:
            return urllib.request.urlopen(event["url"], timeout=20).read().decode()
        except urllib.error.HTTPError as error:
            return error.code
    if event["service"] == "sts":
        return boto3.client("sts").get_caller_identity()["Account"]
    return boto3.client("dynamodb").list_tables()["TableNames"]
"""


@pytest.mark.long
def test_an_api_answers_at_its_own_address(isolated: LambentServer) -> None:
    gateway = isolated.client("apigateway")
    api = gateway.create_rest_api(name="by-name")["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    one = {"restApiId": api, "resourceId": root, "httpMethod": "GET"}
    template = {"application/json": '{"statusCode": 200}'}
    gateway.put_method(**one, authorizationType="NONE")
    gateway.put_integration(**one, type="MOCK", requestTemplates=template)
    gateway.put_method_response(**one, statusCode="200")
    gateway.put_integration_response(**one, statusCode="200", responseTemplates={"application/json": "hello"})
    gateway.create_deployment(restApiId=api, stageName="prod")
    create_function(isolated.client(), "api", {"index.py": _ASKING}, Timeout=60)
    asked = {"url": f"https://{api}.execute-api.us-east-1.amazonaws.com/prod/"}
    assert invoke(isolated.client(), "api", asked) == "hello"


class _Tables(JsonServer):
    """A DynamoDB elsewhere."""

    content_type = "application/x-amz-json-1.0"

    def __init__(self) -> None:
        super().__init__()
        self.hosts: list[str] = []

    def respond(self, path: str, headers: Message, body: bytes) -> tuple[int, dict[str, Any]]:
        self.hosts.append(headers["host"])
        return 200, {"TableNames": ["elsewhere"]}


@pytest.mark.long
def test_a_service_with_an_endpoint_is_asked_there(lambent_server_factory: ServerFactory) -> None:
    with _Tables() as elsewhere:
        server = lambent_server_factory({"neighbours.dynamodb.endpoint": elsewhere.url, "network.egress": "none"})
        create_function(server.client(), "asking", {"index.py": _ASKING}, Timeout=60)
        assert invoke(server.client(), "asking", {"service": "dynamodb"}) == ["elsewhere"]
        assert elsewhere.hosts == ["dynamodb.us-east-1.amazonaws.com"]


@pytest.mark.long
def test_signatures_are_verified_as_at_the_endpoint(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"neighbours.enabled": "true", "auth.mode": "verify"})
    made = subprocess.run(
        [*_KEYS, "--data-dir", str(server.data_dir), "--account", "111122223333"],
        env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    key = json.loads(made.stdout)
    client = server.client(access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])
    role = "arn:aws:iam::111122223333:role/test"
    create_function(client, "verified", {"index.py": _ASKING}, Timeout=60, Role=role)
    assert invoke(client, "verified", {"service": "sts"}) == "111122223333"
    assert invoke(client, "verified", {"url": "https://sts.amazonaws.com/?Action=GetCallerIdentity"}) == 403


@pytest.mark.long
def test_passing(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"network.egress": "none", "network.amazonaws": "pass"})
    client = server.client()
    code = """
import os, socket
def handler(event, context):
    try:
        found = socket.gethostbyname("sqs.us-east-1.amazonaws.com")
    except OSError:
        found = None
    return [found, sorted(name for name in os.environ if name.endswith(("_BUNDLE", "_CERT_FILE")))]
"""
    create_function(client, "passing", {"index.py": code})
    assert invoke(client, "passing") == [None, []]
