"""Rows about event source mappings: how soon a message runs, how fast a queue is drained, what waiting costs."""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from benchmarks.measuring import codes
from benchmarks.measuring.daemon import ROLE, Code, Daemon, send_raw
from benchmarks.measuring.events import Listener
from benchmarks.measuring.generator import LoadError
from benchmarks.measuring.processes import cpu_ns
from benchmarks.measuring.rows import Row, missing

if TYPE_CHECKING:
    from botocore.client import BaseClient

    from benchmarks.measuring.context import Context

PROBES = 100
MAPPINGS = 200
# The longest wait of an idle mapping is reached after 19 s.
SETTLE_SECONDS = 25.0
IDLE_SECONDS = 30.0
MESSAGES = 100_000
ORDERED = 10_000
GROUPS = 100
WAIT_SECONDS = 600.0
# Says when its first line ran, in nanoseconds of the machine's clock, which its sandbox shares.
_TELLS = b"""import json
import socket
import time


def handler(event, context):
    now = time.time_ns()
    for record in event.get("Records", ()):
        told = json.loads(record["body"])
        with socket.create_connection(("host.lambent.internal", told["port"]), 10) as connection:
            connection.sendall(b"%d %d" % (told["n"], now))
"""
# Says which messages it got, over one connection for all its invocations.
_COUNTS = b"""import os
import socket

CONNECTION = []


def handler(event, context):
    if "Records" not in event:
        return
    if not CONNECTION:
        CONNECTION.append(socket.create_connection(("host.lambent.internal", int(os.environ["PORT"])), 10))
    CONNECTION[0].sendall((" ".join(record["body"] for record in event["Records"]) + "\\n").encode())
"""


class Tally:
    """Counts what functions say that they got. Scope: one row."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1_024)
        self.port: int = self._socket.getsockname()[1]
        self._lock = threading.Lock()
        self.numbers: list[int] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """End."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def wait(self, count: int) -> None:
        """Return when so many messages were got. Raises LoadError."""
        deadline = time.monotonic() + WAIT_SECONDS
        while len(self.numbers) < count:
            if time.monotonic() > deadline:
                raise LoadError(f"{len(self.numbers)} of {count} messages ran")
            time.sleep(0.05)

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            for line in connection.makefile("rb"):
                found = [int(one) for one in line.split()]
                with self._lock:
                    self.numbers += found


def delay_rows(context: Context) -> list[Row]:
    """From the sending of a message to its handler's first line, with the embedded SQS, one at a time."""
    del context
    listener = Listener()
    daemon = Daemon({"logs.deliver": "false", "network.host_ports": str(listener.port)})
    what = "SQS message sent (embedded SQS) → handler's first line, warm, one at a time: p50"
    try:
        daemon.start()
        daemon.create("probe", Code(codes.PYTHON_ID, "app.handler", {"app.py": _TELLS}))
        daemon.invoke("probe")
        urls = _queues(daemon, ["probe"])
        _map(daemon, "probe", "probe")
        for number in range(10):
            _delay(daemon, urls["probe"], listener, number)
        delays = [_delay(daemon, urls["probe"], listener, 1_000 + number) for number in range(PROBES)]
    except LoadError as error:
        return [missing("sqs_delay", what, "ms", str(error)[:400])]
    finally:
        daemon.close()
        listener.close()
    detail: dict[str, object] = {"p90": statistics.quantiles(delays, n=10)[8], "max": max(delays)}
    return [Row("sqs_delay", what, statistics.median(delays), "ms", 50, detail=detail)]


def idle_rows(context: Context) -> list[Row]:
    """Processor time of mappings whose queues are empty."""
    del context
    daemon = Daemon({"logs.deliver": "false"})
    what = f"{MAPPINGS} idle SQS mappings: processor time of the daemon, of one core"
    try:
        daemon.start()
        daemon.create("idle", codes.python())
        names = [f"idle-{number}" for number in range(MAPPINGS)]
        _queues(daemon, names)
        for name in names:
            _map(daemon, "idle", name)
        time.sleep(SETTLE_SECONDS)
        before, begin = cpu_ns(daemon.pid), time.monotonic()
        time.sleep(IDLE_SECONDS)
        after, seconds = cpu_ns(daemon.pid), time.monotonic() - begin
    except LoadError as error:
        return [missing("idle_mappings", what, "%", str(error)[:400])]
    finally:
        daemon.close()
    shares = {role: (spent - before.get(role, 0)) / seconds / 1e7 for role, spent in after.items()}
    detail: dict[str, object] = dict(shares)
    both = shares["daemon"] + shares.get("neighbours", 0.0)
    return [
        Row("idle_mappings", what, shares["daemon"], "%", 5, detail=detail),
        Row("idle_mappings_both", "the same with the embedded SQS, which waits with them", both, "%", 5),
    ]


def drain_rows(context: Context) -> list[Row]:
    """A second SQS, full of messages, drained by an empty function: each seen once, the order of groups kept."""
    del context
    # What the tests fetch by Maven, and its start.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from tests.other_sources import client_of, elasticmq

    what = f"{MESSAGES:,} messages of a second SQS (ElasticMQ): drained"
    tally = Tally()
    with elasticmq() as address:
        daemon = Daemon(
            {"logs.deliver": "false", "network.host_ports": str(tally.port), "neighbours.sqs.endpoint": address}
        )
        try:
            daemon.start()
            daemon.create("drain", _Counting(tally.port))
            sqs = client_of("sqs", address)
            plain = _drain(daemon, sqs, tally, "plain", MESSAGES)
            twice = len(tally.numbers) - len(set(tally.numbers))
            tally.numbers.clear()
            ordered = _drain(daemon, sqs, tally, "ordered.fifo", ORDERED)
            for group in range(GROUPS):
                got = [number for number in tally.numbers if number % GROUPS == group]
                if got != list(range(group, ORDERED, GROUPS)):
                    raise LoadError(f"group {group} came as {got[:20]}…")
        except LoadError as error:
            return [missing("sqs_drain", what, "1/s", str(error)[:400])]
        finally:
            daemon.close()
            tally.close()
    return [
        Row("sqs_drain", what, MESSAGES / plain, "1/s", 1_000, is_high_good=True),
        Row("sqs_drain_twice", "of these seen more than once", twice, "messages", 0),
        Row("sqs_drain_fifo", f"{ORDERED:,} messages in {GROUPS} FIFO groups, in order", ORDERED / ordered, "1/s",
            is_high_good=True),
    ]  # fmt: skip


class _Counting:
    """The function that tells a tally."""

    def __init__(self, port: int) -> None:
        self._members = Code(codes.PYTHON_ID, "app.handler", {"app.py": _COUNTS}).members()
        self._members["Environment"] = {"Variables": {"PORT": str(port)}}
        assert self._members["Role"] == ROLE

    def members(self) -> dict[str, object]:
        """See Creatable."""
        return self._members


def rows(context: Context) -> list[Row]:
    """All of them."""
    return [*delay_rows(context), *idle_rows(context), *drain_rows(context)]


def _drain(daemon: Daemon, sqs: BaseClient, tally: Tally, queue: str, count: int) -> float:
    """Fill a queue, let it be polled, return how many seconds it took."""
    is_fifo = queue.endswith(".fifo")
    attributes = {"VisibilityTimeout": "60", **({"FifoQueue": "true"} if is_fifo else {})}
    url = sqs.create_queue(QueueName=queue, Attributes=attributes)["QueueUrl"]

    def send(first: int) -> None:
        entries: list[dict[str, str]] = []
        for number in range(first, first + 10):
            entry = {"Id": str(number), "MessageBody": str(number)}
            if is_fifo:
                entry |= {"MessageGroupId": str(number % GROUPS), "MessageDeduplicationId": str(number)}
            entries.append(entry)
        if sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed"):
            raise LoadError("messages were refused")

    # Order is made by who sends: one sender for a queue with groups.
    with ThreadPoolExecutor(1 if is_fifo else 8) as threads:
        list(threads.map(send, range(0, count, 10)))
    begin = time.monotonic()
    _map(daemon, "drain", queue)
    tally.wait(count)
    return time.monotonic() - begin


def _queues(daemon: Daemon, names: list[str]) -> dict[str, str]:
    caller = daemon.caller
    sqs = boto3.client(
        "sqs",
        endpoint_url=f"http://127.0.0.1:{daemon.port}",
        region_name="us-east-1",
        aws_access_key_id=caller.access_key_id,
        aws_secret_access_key=caller.secret_access_key,
        config=Config(retries={"total_max_attempts": 1}),
    )
    attributes = {"VisibilityTimeout": "60"}
    return {name: sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"] for name in names}


def _map(daemon: Daemon, function: str, queue: str) -> None:
    """Create a mapping and return when it is enabled. Raises LoadError."""
    asked = {
        "EventSourceArn": f"arn:aws:sqs:us-east-1:000000000000:{queue}", "FunctionName": function, "BatchSize": 10,
    }  # fmt: skip
    status, _, answer = daemon.call("POST", "/2015-03-31/event-source-mappings/", json.dumps(asked).encode())
    if status != 202:
        raise LoadError(f"CreateEventSourceMapping: {status} {answer[:300]!r}")
    mapping_id = json.loads(answer)["UUID"]
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        _, _, answer = daemon.call("GET", f"/2015-03-31/event-source-mappings/{mapping_id}")
        if json.loads(answer).get("State") == "Enabled":
            return
        time.sleep(0.02)
    raise LoadError(f"the mapping is not enabled: {answer[:300]!r}")


def _delay(daemon: Daemon, url: str, listener: Listener, number: int) -> float:
    """Send a message and return the milliseconds until its handler began. Raises LoadError."""
    caller = daemon.caller
    body = json.dumps({"QueueUrl": url, "MessageBody": json.dumps({"n": number, "port": listener.port})}).encode()
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.SendMessage"}
    request = AWSRequest(method="POST", url=f"http://127.0.0.1:{daemon.port}/", data=body, headers=headers)
    SigV4Auth(Credentials(caller.access_key_id, caller.secret_access_key), "sqs", "us-east-1").add_auth(request)
    lines = ["POST / HTTP/1.1", f"Host: 127.0.0.1:{daemon.port}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items() if name.lower() != "host"]
    sent_ns = time.time_ns()
    status, _, answer = send_raw(daemon.port, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    if status != 200:
        raise LoadError(f"SendMessage: {status} {answer[:300]!r}")
    return (listener.wait(number) - sent_ns) / 1e6
