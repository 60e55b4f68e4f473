"""Telemetry API 2022-07-01 and Logs API 2020-08-15: records, order, destinations, buffering, and who does not read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function, invoke
from tests.scenario.extending import READER, call, extended_function, layer, said, wait_for

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

ALL = "'platform', 'function', 'extension'"
SUBSCRIBED = f"register('SHUTDOWN')\nlisten()\nnote('answers', json.dumps(subscribe({ALL})))\nrun()\n"


def records(client: Any, name: str, last: str = "platform.report", count: int = 1) -> list[dict[str, Any]]:
    """Return what the extension has received once it holds `count` records of type `last`."""

    def read() -> list[dict[str, Any]] | None:
        found = [json.loads(line) for line in invoke(client, name, {"read": "telemetry"})]
        return found if sum(record["type"] == last for record in found) >= count else None

    return list(wait_for(read, last))


def test_the_records_of_a_cold_start_and_an_invocation_in_order(lambda_client: Any) -> None:
    code = "print('loaded')\n" + READER.replace(
        "def handler(event, context):", "def handler(event, context):\n    print('in')"
    )
    extended_function(lambda_client, "in-order", SUBSCRIBED, code)
    assert invoke(lambda_client, "in-order", {"read": "answers"}) == ['[200, "OK"]']
    found = records(lambda_client, "in-order")
    kinds = [record["type"] for record in found]
    report = kinds.index("platform.report")
    assert kinds[0] == "platform.initStart"
    platform = [kind for kind in kinds[: report + 1] if kind.startswith("platform.")]
    assert platform == [
        "platform.initStart",
        "platform.telemetrySubscription",
        "platform.initRuntimeDone",
        "platform.extension",
        "platform.initReport",
        "platform.start",
        "platform.runtimeDone",
        "platform.report",
    ]
    output = [record["record"] for record in found[:report] if record["type"] == "function"]
    assert output == ["loaded\n", "in\n"]
    by_kind = {record["type"]: record["record"] for record in reversed(found[: report + 1])}
    assert by_kind["platform.initStart"]["initializationType"] == "on-demand"
    assert by_kind["platform.initStart"]["phase"] == "init"
    assert by_kind["platform.initStart"]["functionName"] == "in-order"
    assert by_kind["platform.initRuntimeDone"] == {
        "initializationType": "on-demand",
        "phase": "init",
        "status": "success",
    }
    assert by_kind["platform.telemetrySubscription"] == {
        "name": "watcher",
        "state": "Subscribed",
        "types": ["platform", "function", "extension"],
    }
    assert by_kind["platform.extension"] == {"name": "watcher", "state": "Ready", "events": ["SHUTDOWN"]}
    start, done, last = (by_kind[f"platform.{kind}"] for kind in ("start", "runtimeDone", "report"))
    assert start["version"] == "$LATEST"
    assert start["tracing"]["type"] == "X-Amzn-Trace-Id"
    assert start["requestId"] == done["requestId"] == last["requestId"]
    assert done["status"] == "success"
    assert set(done["metrics"]) == {"durationMs", "producedBytes"}
    assert [span["name"] for span in done["spans"]] == ["responseLatency", "responseDuration", "runtimeOverhead"]
    metrics = last["metrics"]
    assert set(metrics) == {"durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB", "initDurationMs"}
    assert last["status"] == "success"
    assert [span["name"] for span in last["spans"]] == ["extensionOverhead"]


def test_the_parts_of_a_cold_start_are_kept_apart(lambda_client: Any) -> None:
    extended_function(lambda_client, "parts", SUBSCRIBED)
    found = records(lambda_client, "parts", "platform.initReport")
    report = next(record["record"] for record in found if record["type"] == "platform.initReport")
    assert [span["name"] for span in report["spans"]] == ["sandbox", "code", "extensions", "runtime", "init"]
    assert all(span["durationMs"] >= 0 and span["start"].endswith("Z") for span in report["spans"])
    assert report["metrics"]["durationMs"] > 0


def test_an_extension_s_own_output(lambda_client: Any) -> None:
    body = f"register('INVOKE')\nlisten()\nsubscribe({ALL})\nsay('before')\nnext_event()\nsay('after')\nrun()\n"
    extended_function(lambda_client, "speaks", body)
    found = records(lambda_client, "speaks", "extension", 2)
    assert [record["record"] for record in found if record["type"] == "extension"][:2] == ["before\n", "after\n"]


def test_json_logs_are_objects_from_the_second_schema_on(lambda_client: Any) -> None:
    code = "import json\nprint(json.dumps({'message': 'one'}))\nprint('two')\n" + READER
    for name, schema in (("objects", "2022-12-13"), ("strings", "2022-07-01")):
        body = f"register()\nlisten()\nsubscribe('function', schema='{schema}')\nrun()\n"
        extended_function(lambda_client, name, body, code, LoggingConfig={"LogFormat": "JSON"})
        record = records(lambda_client, name, "function", 2)[0]["record"]
        assert (record if name == "objects" else json.loads(record))["message"] == "one"


def test_over_tcp(lambda_client: Any) -> None:
    body = (
        "register()\n"
        "server = socket.create_server(('127.0.0.1', 9999))\n"
        "def read():\n"
        "    for line in server.accept()[0].makefile():\n"
        "        note('telemetry', line.rstrip())\n"
        "threading.Thread(target=read, daemon=True).start()\n"
        "subscribe('platform', protocol='TCP', port=9999)\n"
        "run()\n"
    )
    extended_function(lambda_client, "tcp", body)
    found = records(lambda_client, "tcp", count=2)
    assert found[0]["type"] == "platform.initStart"


def test_what_waits_is_sent_before_the_environment_is_frozen(lambda_client: Any) -> None:
    body = "register()\nlisten()\nsubscribe('platform', timeoutMs=30000)\nrun()\n"
    extended_function(lambda_client, "flushed", body)
    found = records(lambda_client, "flushed")
    assert [record["type"] for record in found].count("platform.initStart") == 1


def test_a_streamed_response_has_a_duration_and_its_bytes(lambda_client: Any) -> None:
    body = "register()\nlisten()\nsubscribe('platform')\nrun()\n"
    code = (
        "exports.handler = awslambda.streamifyResponse(async (event, stream) => {\n"
        "  if (event.read) {\n"
        "    stream.end(JSON.stringify(require('fs').readFileSync('/tmp/telemetry', 'utf8').trim().split('\\n')));\n"
        "    return;\n  }\n"
        "  stream.write('a'.repeat(1000));\n"
        "  setTimeout(() => stream.end('b'.repeat(500)), 200);\n"
        "});\n"
    )
    arn = layer(lambda_client, "streamed", {"watcher": body})
    create_function(lambda_client, "streamed", {"index.js": code}, Runtime="nodejs20.x", Layers=[arn])
    answer = lambda_client.invoke_with_response_stream(FunctionName="streamed", Payload=b"{}")
    parts = [event["PayloadChunk"]["Payload"] for event in answer["EventStream"] if "PayloadChunk" in event]
    assert len(b"".join(parts)) == 1500
    found = records(lambda_client, "streamed")
    done = next(record["record"] for record in found if record["type"] == "platform.runtimeDone")
    assert done["metrics"]["producedBytes"] == 1500
    spans = {span["name"]: span["durationMs"] for span in done["spans"]}
    assert spans["responseDuration"] > 150


def test_a_failure_is_told(lambda_client: Any) -> None:
    body = (
        "register('SHUTDOWN')\nlisten()\nsubscribe('platform')\n"
        "if next_event()['eventType'] == 'SHUTDOWN':\n    time.sleep(0.5)\n"
    )
    extended_function(lambda_client, "told-of-exit", body)
    # With one environment alone, the next call waits until the extension was ended and what it noted is in /tmp.
    lambda_client.put_function_concurrency(FunctionName="told-of-exit", ReservedConcurrentExecutions=1)
    assert call(lambda_client, "told-of-exit", {"exit": 5})[1] == "Unhandled"

    def read() -> list[dict[str, Any]] | None:
        try:
            return [json.loads(line) for line in invoke(lambda_client, "told-of-exit", {"read": "telemetry"})]
        except lambda_client.exceptions.TooManyRequestsException:
            return None

    found = wait_for(read, "environment")
    done = next(record["record"] for record in found if record["type"] == "platform.runtimeDone")
    report = next(record["record"] for record in found if record["type"] == "platform.report")
    assert (done["status"], done["errorType"]) == ("error", "Runtime.ExitError")
    assert (report["status"], report["errorType"]) == ("error", "Runtime.ExitError")
    found = records(lambda_client, "told-of-exit", "platform.initReport", 2)
    assert [r["record"]["phase"] for r in found if r["type"] == "platform.initStart"] == ["init", "invoke"]


def test_a_subscriber_that_answers_500_is_tried_again_and_told_what_it_missed(lambda_client: Any) -> None:
    body = (
        "register('INVOKE')\nlisten()\nReceiver.status = 500\nsubscribe('platform')\n"
        "def mend():\n"
        "    time.sleep(2)\n"
        "    Receiver.status = 200\n"
        "threading.Thread(target=mend, daemon=True).start()\n"
        "run()\n"
    )
    extended_function(lambda_client, "five-hundred", body)
    found = records(lambda_client, "five-hundred", "platform.logsDropped")
    dropped = next(record["record"] for record in found if record["type"] == "platform.logsDropped")
    assert dropped["droppedRecords"] > 0
    assert dropped["droppedBytes"] > 0
    assert dropped["reason"] == "Consumer seems to have fallen behind as it has not acknowledged receipt of logs."


def test_a_subscriber_that_never_reads_holds_nothing_up(lambda_client: Any, lambent_server: LambentServer) -> None:
    body = f"register('INVOKE')\nserver = socket.create_server(('0.0.0.0', 8080))\nsubscribe({ALL})\nrun()\n"
    code = "def handler(event, context):\n    print('x' * 1000000)\n    return len('x')\n"
    extended_function(lambda_client, "deaf", body, code)
    for _ in range(8):
        assert call(lambda_client, "deaf") == (1, None)


def test_nobody_listens(lambda_client: Any) -> None:
    extended_function(lambda_client, "nobody", f"register()\nsubscribe({ALL})\nrun()\n")
    for _ in range(3):
        assert call(lambda_client, "nobody") == ([], None)


@pytest.mark.parametrize(
    ("name", "schema", "kinds"),
    [
        ("logs-first", "2020-08-15", ["start", "end", "report"]),
        ("logs-second", "2021-03-18", ["start", "runtimeDone", "end", "report"]),
    ],
)
def test_the_logs_api(
    lambda_client: Any, lambent_server: LambentServer, name: str, schema: str, kinds: list[str]
) -> None:
    body = (
        "register()\nlisten()\n"
        f"note('answers', json.dumps(subscribe({ALL}, path='/2020-08-15/logs', schema='{schema}')))\n"
        f"note('answers', json.dumps(subscribe({ALL})))\n"
        "run()\n"
    )
    extended_function(lambda_client, name, body)
    first, second = (json.loads(line) for line in invoke(lambda_client, name, {"read": "answers"}))
    assert first == [200, "OK"]
    assert second[0] == 400
    found = records(lambda_client, name)
    platform = [record["type"].removeprefix("platform.") for record in found if record["type"].startswith("platform.")]
    assert platform[: 2 + len(kinds)] == ["logsSubscription", "extension", *kinds]
    report = next(record["record"] for record in found if record["type"] == "platform.report")
    assert set(report) == {"requestId", "metrics"}
    said(lambent_server, name, "LOGS\tName: watcher\tState: Subscribed\tTypes: [Platform, Function, Extension]")


def test_refused_subscriptions(lambda_client: Any) -> None:
    body = (
        "def put(body, path='/2022-07-01/telemetry', headers=None): return ask('PUT', path, body, headers)[::2]\n"
        "good = {'schemaVersion': '2022-07-01', 'types': ['platform']}\n"
        "good['destination'] = {'protocol': 'HTTP', 'URI': 'http://sandbox.localdomain:8080'}\n"
        "answers = [put(good)]\n"
        "register()\n"
        "answers += [put(b'{'), put({**good, 'types': [], 'destination': {'protocol': 'HTTP', 'URI': 'http://sandbox'}})]\n"
        "answers += [put({**good, 'types': ['all']}), put({**good, 'schemaVersion': '1999-01-01'})]\n"
        "answers += [put({**good, 'destination': {'protocol': 'HTTP', 'URI': 'http://example.com:80/'}})]\n"
        "answers += [put({**good, 'destination': {'protocol': 'TCP', 'port': 70000}})]\n"
        "answers += [put({**good, 'destination': {'protocol': 'UDP', 'port': 7}})]\n"
        "answers += [put({**good, 'buffering': {'timeoutMs': 10}}), put({**good, 'buffering': {'maxBytes': 5}})]\n"
        "answers += [put({**good, 'buffering': {'maxItems': 20000}})]\n"
        "note('answers', json.dumps(answers))\n"
        "next_event()\n"
    )
    late = "register('INVOKE')\nnext_event()\nnote('answers', json.dumps(subscribe('platform')))\nrun()\n"
    extended_function(lambda_client, "refusals", body)
    answers = json.loads(invoke(lambda_client, "refusals", {"read": "answers"})[0])
    assert [status for status, _ in answers] == [403] + [400] * 10
    assert answers[0][1]["errorType"] == "Extension.MissingExtensionIdentifier"
    assert {body["errorType"] for _, body in answers[1:]} == {"ValidationError"}
    assert answers[2][1]["errorMessage"] == "types should not be empty; URI port is not provided"
    extended_function(lambda_client, "too-late", late)
    invoke(lambda_client, "too-late", {})
    status, body_late = json.loads(
        wait_for(lambda: invoke(lambda_client, "too-late", {"read": "answers"}), "answer")[0]
    )
    assert (status, body_late["errorType"]) == (403, "Telemetry.SubscriptionClosed")


def test_parts_and_durations_of_init_are_in_json_logs_at_debug(
    lambda_client: Any, lambent_server: LambentServer
) -> None:
    members: dict[str, Any] = {"LoggingConfig": {"LogFormat": "JSON", "SystemLogLevel": "DEBUG"}}
    extended_function(lambda_client, "debugged", "register()\nrun()\n", **members)
    invoke(lambda_client, "debugged", {})
    log = said(lambent_server, "debugged", "platform.report")
    found = {record["type"]: record["record"] for line in log.splitlines() if "type" in (record := json.loads(line))}
    assert found["platform.initRuntimeDone"]["status"] == "success"
    spans = [span["name"] for span in found["platform.initReport"]["spans"]]
    assert spans == ["sandbox", "code", "extensions", "runtime", "init"]


def test_the_parts_of_a_cold_start_without_extensions(lambda_client: Any, lambent_server: LambentServer) -> None:
    logging = {"LogFormat": "JSON", "SystemLogLevel": "DEBUG"}
    create_function(lambda_client, "bare", {"index.py": READER}, LoggingConfig=logging)
    invoke(lambda_client, "bare", {})
    log = said(lambent_server, "bare", "platform.report")
    report = next(record for line in log.splitlines() if (record := json.loads(line))["type"] == "platform.initReport")
    assert [span["name"] for span in report["record"]["spans"]] == ["sandbox", "code", "runtime", "init"]
    status, body = lambent_server.get("/_lambent/v1/metrics")
    assert status == 200
    assert json.loads(body)["functions"]["bare"]["cold_start_init_ms_sum"] > 0
