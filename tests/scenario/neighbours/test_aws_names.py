"""Functions whose code or SDK knows no endpoint: AWS's own names lead to the services here, and TLS is trusted."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function, invoke, make_zip_bytes
from tests.runtimes import java_packages

if TYPE_CHECKING:
    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

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
