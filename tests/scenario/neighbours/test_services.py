"""Every service behind the one endpoint, by AWS's own client: routed, streamed, in the caller's account."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.running import create_function, invoke, make_zip_bytes
from tests.scenario.neighbours.conftest import child_of, memory_mib, wait_for_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.running import LambentServer

pytestmark = pytest.mark.slow
_LARGE_BYTES = 100 * 1024 * 1024


@pytest.fixture(scope="module")
def bucket(neighboured: LambentServer) -> str:
    """A bucket."""
    neighboured.client("s3").create_bucket(Bucket="plain-bucket")
    return "plain-bucket"


@pytest.fixture
def _localhost_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names below localhost are this machine, as browsers and systemd have it; not every resolver does."""
    resolve = socket.getaddrinfo

    def resolved(host: str, *rest: Any, **named: Any) -> Any:
        return resolve("127.0.0.1" if str(host).endswith(".localhost") else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


def test_services_of_every_protocol_answer(neighboured: LambentServer) -> None:
    sqs, sns, dynamodb = (neighboured.client(name) for name in ("sqs", "sns", "dynamodb"))
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    assert url.startswith(neighboured.url)
    sqs.send_message(QueueUrl=url, MessageBody="hello")
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "hello"
    topic = sns.create_topic(Name="t")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:000000000000:q")
    sns.publish(TopicArn=topic, Message="told")
    assert "told" in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"][0]["Body"]
    dynamodb.create_table(
        TableName="items", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )  # fmt: skip
    dynamodb.put_item(TableName="items", Item={"id": {"S": "1"}})
    assert dynamodb.get_item(TableName="items", Key={"id": {"S": "1"}})["Item"] == {"id": {"S": "1"}}
    assert neighboured.client("dynamodbstreams").list_streams()["Streams"] == []
    assert neighboured.client("iam").list_users()["Users"] == []
    assert neighboured.client("cloudwatch").list_metrics()["Metrics"] == []
    assert neighboured.client("ec2").describe_regions()["Regions"]
    assert neighboured.client("cloudfront").list_distributions()["DistributionList"]["Quantity"] == 0
    assert neighboured.client("lambda").list_functions()["Functions"] == []


def test_a_key_of_twelve_digits_names_its_account(neighboured: LambentServer) -> None:
    sts = neighboured.client("sts", access_key="111122223333")
    assert sts.get_caller_identity()["Account"] == "111122223333"
    assert neighboured.client("sts").get_caller_identity()["Account"] == "000000000000"
    neighboured.client("s3", access_key="111122223333").create_bucket(Bucket="of-another-account")
    names = [one["Name"] for one in neighboured.client("s3").list_buckets()["Buckets"]]
    assert "of-another-account" not in names


def test_errors_of_services_keep_their_form(neighboured: LambentServer, bucket: str) -> None:
    expected: dict[str, Callable[[], object]] = {
        "NoSuchKey": lambda: neighboured.client("s3").get_object(Bucket=bucket, Key="missing"),
        "ResourceNotFoundException": lambda: neighboured.client("dynamodb").describe_table(TableName="missing"),
        "NoSuchEntity": lambda: neighboured.client("iam").get_role(RoleName="missing"),
    }
    for code, call in expected.items():
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError, match=r"set neighbours\.polly\.endpoint"):
        neighboured.client("polly").describe_voices()


@pytest.mark.usefixtures("_localhost_names")
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_objects_by_both_styles_of_address(neighboured: LambentServer, bucket: str, style: str) -> None:
    client = boto3.client(
        "s3", endpoint_url=f"http://s3.localhost:{neighboured.port}", region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test",
        config=Config(s3={"addressing_style": style}, signature_version="s3v4", retries={"total_max_attempts": 1}),
    )  # fmt: skip
    key = "a folder/ü+%&=.txt"
    client.put_object(Bucket=bucket, Key=key, Body=b"content", Metadata={"m": "v"})
    answer = client.get_object(Bucket=bucket, Key=key, Range="bytes=1-3")
    assert (answer["Body"].read(), answer["Metadata"]) == (b"ont", {"m": "v"})
    assert client.head_object(Bucket=bucket, Key=key)["ContentLength"] == 7
    assert [one["Key"] for one in client.list_objects_v2(Bucket=bucket, Prefix="a folder/")["Contents"]] == [key]
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
    assert _fetch(neighboured, url) == (200, b"content")
    client.delete_object(Bucket=bucket, Key=key)
    with pytest.raises(ClientError, match="404"):
        client.head_object(Bucket=bucket, Key=key)


def test_an_object_is_fetched_by_a_url_of_signature_version_2(neighboured: LambentServer, bucket: str) -> None:
    client = neighboured.client("s3")
    client.put_object(Bucket=bucket, Key="old", Body=b"content")
    config = Config(signature_version="s3")
    older = boto3.client(
        "s3", endpoint_url=neighboured.url, region_name="us-east-1", aws_access_key_id="test",
        aws_secret_access_key="test", config=config,
    )  # fmt: skip
    url = older.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "old"})
    assert "AWSAccessKeyId=" in url
    assert _fetch(neighboured, url) == (200, b"content")


def test_large_objects_pass_through_without_being_held(neighboured: LambentServer, bucket: str) -> None:
    client = neighboured.client("s3")
    client.put_object(Bucket=bucket, Key="first", Body=b"")
    before = memory_mib(neighboured.pid)
    client.put_object(Bucket=bucket, Key="large", Body=bytes(_LARGE_BYTES))
    answer = client.get_object(Bucket=bucket, Key="large")
    assert answer["ContentLength"] == _LARGE_BYTES
    received = 0
    for part in answer["Body"].iter_chunks(1 << 20):
        received += len(part)
    assert received == _LARGE_BYTES
    assert memory_mib(neighboured.pid, "VmHWM") - before < 40


@pytest.mark.long
def test_invocations_go_on_beside_a_large_upload(neighboured: LambentServer, bucket: str) -> None:
    client = neighboured.client()
    create_function(client, "beside", {"index.py": "def handler(event, context):\n    return event"})
    invoke(client, "beside", 0)
    uploads = threading.Thread(
        target=neighboured.client("s3").put_object,
        kwargs={"Bucket": bucket, "Key": "beside", "Body": bytes(2 * _LARGE_BYTES)},
    )
    uploads.start()
    count = 0
    while uploads.is_alive():
        assert invoke(client, "beside", count) == count
        count += 1
    uploads.join()
    assert count > 20


def test_a_body_that_stops_half_way_makes_no_object(neighboured: LambentServer, bucket: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", neighboured.port, timeout=10)
    connection.putrequest("PUT", f"/{bucket}/half")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders()
    connection.send(bytes(500_000))
    connection.close()
    names = [one["Key"] for one in neighboured.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])]
    assert "half" not in names


def test_chunks_and_continue(neighboured: LambentServer, bucket: str) -> None:
    def parts() -> Iterator[bytes]:
        yield b"one "
        yield b"two"

    connection = http.client.HTTPConnection("127.0.0.1", neighboured.port, timeout=10)
    connection.request("PUT", f"/{bucket}/chunked", body=parts(), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked", "Expect": "100-continue"})  # fmt: skip
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    connection.request("GET", f"/{bucket}/chunked")
    assert connection.getresponse().read() == b"one two"
    connection.close()


def test_a_package_from_the_embedded_s3(neighboured: LambentServer, bucket: str) -> None:
    package = make_zip_bytes({"index.py": "def handler(event, context):\n    return 'from S3'"})
    neighboured.client("s3").put_object(Bucket=bucket, Key="package.zip", Body=package)
    client = neighboured.client()
    client.create_function(
        FunctionName="from-s3", Runtime="python3.11", Handler="index.handler",
        Role="arn:aws:iam::000000000000:role/r", Code={"S3Bucket": bucket, "S3Key": "package.zip"},
    )  # fmt: skip
    client.get_waiter("function_active_v2").wait(FunctionName="from-s3", WaiterConfig={"Delay": 1})
    assert invoke(client, "from-s3") == "from S3"
    with pytest.raises(ClientError, match="S3 Error Code: NoSuchKey"):
        client.update_function_code(FunctionName="from-s3", S3Bucket=bucket, S3Key="missing.zip")


def test_log_lines_are_read_where_aws_has_them(neighboured: LambentServer) -> None:
    client, logs = neighboured.client(), neighboured.client("logs")
    code = "def handler(event, context):\n    print('said', event)\n    return context.log_stream_name"
    create_function(client, "talkative", {"index.py": code})
    stream = invoke(client, "talkative", 1)
    wait_for_line(logs, "/aws/lambda/talkative", "said 1", seconds=10)
    invoke(client, "talkative", 2)
    wait_for_line(logs, "/aws/lambda/talkative", "said 2", seconds=1)
    events = logs.get_log_events(logGroupName="/aws/lambda/talkative", logStreamName=stream)["events"]
    messages = [one["message"].partition(" ")[0] for one in events]
    assert messages == ["INIT_START", "START", "said", "END", "REPORT", "START", "said", "END", "REPORT"]
    broken = "def handler(event, context):\n    print('two\\nlines')\n    raise ValueError('no')"
    create_function(client, "broken", {"index.py": broken})
    client.invoke(FunctionName="broken")
    events = wait_for_line(logs, "/aws/lambda/broken", "REPORT", seconds=10)
    # Lines keep their ends, a record of several lines is one event, and an error has no end: as recorded.
    kinds = [one["message"] for one in events][1:-1]
    assert kinds[1:3] == ["two\n", "lines\n"]
    # AWS's runtime indents by non-breaking spaces.
    assert kinds[3].startswith("[ERROR] ValueError: no\nTraceback (most recent call last):\n\xa0\xa0File ")
    assert kinds[3].endswith("raise ValueError('no')")
    assert [kinds[0][-17:], kinds[4][:5], len(kinds)] == ["Version: $LATEST\n", "END R", 5]


def test_the_child_is_bounded_and_private(neighboured: LambentServer) -> None:
    child = child_of(neighboured)
    assert (child["state"], child["starts"]) == ("running", 1)
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [row[1] for row in rows if row[3] == "0A"]
    assert f"0100007F:{child['port']:04X}" in listening
    assert f"00000000:{child['port']:04X}" not in listening
    connection = http.client.HTTPConnection("127.0.0.1", child["port"], timeout=10)
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (403, b"")
    connection.close()


def test_invocations_come_before_the_embedded_services(neighboured: LambentServer, bucket: str) -> None:
    neighboured.client("s3").put_object(Bucket=bucket, Key="waits", Body=b"its turn")
    pid = child_of(neighboured)["pid"]
    assert os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, neighboured.pid)
    group = Path(f"/proc/{pid}/autogroup")
    if group.exists():
        # It has a session of its own, and where sessions are weighed, it is the session that gives way.
        assert group.read_text().rpartition("nice ")[2].strip() in ("5", ""), group.read_text()


def test_nothing_leaves_the_machine(neighboured: LambentServer, bucket: str) -> None:
    neighboured.client("s3").put_object(Bucket=bucket, Key="stays", Body=b"here")
    inodes = set()
    for pid in (neighboured.pid, child_of(neighboured)["pid"]):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                inodes.add(os.readlink(descriptor))
    peers = []
    for family, loopback in (("tcp", "0100007F"), ("tcp6", "0000000000000000FFFF00000100007F"), ("udp", "0100007F")):
        for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
            fields = line.split()
            address = fields[2].partition(":")[0]
            if f"socket:[{fields[9]}]" in inodes and set(address) != {"0"} and address != loopback:
                peers.append(line)
    assert peers == []


def test_no_customer_code_runs_in_the_embedded_services(neighboured: LambentServer, bucket: str) -> None:
    marker = neighboured.data_dir / "neighbours" / "was-run"
    script = f"open({str(marker)!r}, 'w').close()".encode()
    neighboured.client("s3").put_object(Bucket=bucket, Key="job.py", Body=script)
    glue = neighboured.client("glue")
    command = {"Name": "pythonshell", "ScriptLocation": f"s3://{bucket}/job.py"}
    glue.create_job(Name="job", Role="arn:aws:iam::000000000000:role/r", Command=command)
    run_id = glue.start_job_run(JobName="job")["JobRunId"]
    deadline = time.monotonic() + 20
    while (run := glue.get_job_run(JobName="job", RunId=run_id)["JobRun"])["JobRunState"] in ("STARTING", "RUNNING"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert run["JobRunState"] == "FAILED"
    assert not marker.exists()


def _fetch(server: LambentServer, url: str) -> tuple[int, bytes]:
    rest = url.partition("://")[2]
    host, _, path = rest.partition("/")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", f"/{path}", headers={"Host": host})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body
