"""Extensions API 2020-01-01: external and internal extensions, their events, their faults; nothing is left behind."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function, invoke, make_zip_bytes
from tests.scenario.extending import READER, call, extended_function, layer, retire, said, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow


def test_an_external_extension_is_told_of_invocations_and_of_the_end(
    lambda_client: Any, lambent_server: LambentServer
) -> None:
    body = (
        "note('notes', json.dumps(register('INVOKE', 'SHUTDOWN', Lambda_Extension_Accept_Feature='accountId')))\n"
        "while True:\n"
        "    event = next_event()\n"
        "    note('notes', json.dumps(event))\n"
        "    if event['eventType'] == 'SHUTDOWN':\n"
        "        say('shutdown', event['shutdownReason'], 0 < event['deadlineMs'] - time.time() * 1000 <= 2000)\n"
        "        sys.exit(0)\n"
    )
    extended_function(lambda_client, "told", body)
    assert call(lambda_client, "told")[1] is None
    notes = [json.loads(line) for line in invoke(lambda_client, "told", {})]
    status, registered = notes[0]
    assert status == 200
    assert registered == {
        "accountId": "000000000000",
        "functionName": "told",
        "functionVersion": "$LATEST",
        "handler": "index.handler",
    }
    event = notes[1]
    assert event["eventType"] == "INVOKE"
    assert event["invokedFunctionArn"].endswith(":function:told")
    assert event["tracing"]["type"] == "X-Amzn-Trace-Id"
    said(lambent_server, "told", event["requestId"])
    said(lambent_server, "told", "EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE, SHUTDOWN]")
    retire(lambda_client, "told")
    said(lambent_server, "told", "shutdown spindown True")


def test_what_extensions_see_of_the_environment(lambda_client: Any) -> None:
    body = "note('notes', json.dumps(dict(os.environ)))\nregister()\nrun()\n"
    variables = {"Variables": {"MINE": "1", "LAMBDA_TASK_ROOT_": "2"}}
    extended_function(lambda_client, "sees", body, Environment=variables)
    seen = json.loads(invoke(lambda_client, "sees", {})[0])
    assert seen["MINE"] == "1"
    assert {"AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "PATH"} <= set(seen)
    hidden = {"_HANDLER", "AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"}
    hidden |= {"LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_XRAY_DAEMON_ADDRESS", "AWS_XRAY_CONTEXT_MISSING"}
    assert not hidden & set(seen)


def test_the_answer_leaves_before_extensions_are_done(lambda_client: Any, lambent_server: LambentServer) -> None:
    body = (
        "register('INVOKE')\n"
        "next_event()\n"
        "while not os.path.exists('/tmp/go'): time.sleep(0.01)\n"
        "time.sleep(0.3)\n"
        "run()\n"
    )
    code = "def handler(event, context):\n    open('/tmp/go', 'w').close()\n    return 'early'\n"
    extended_function(lambda_client, "early", body, code, Timeout=10)
    assert call(lambda_client, "early") == ("early", None)
    # The time that is reported goes on until the extension asks for its next event.
    report = said(lambent_server, "early", "\nREPORT").split("\nREPORT")[1]
    assert float(report.split("\tDuration: ")[1].split(" ms")[0]) > 300


def test_the_tail_holds_the_report_when_extensions_are_quick(lambda_client: Any) -> None:
    extended_function(lambda_client, "tail", "register('INVOKE')\nrun()\n")
    answer = lambda_client.invoke(FunctionName="tail", Payload=b"{}", LogType="Tail")
    assert "\nREPORT RequestId" in base64.b64decode(answer["LogResult"]).decode()


def test_a_time_out_counts_extensions(lambda_client: Any, lambent_server: LambentServer) -> None:
    body = "register('INVOKE', 'SHUTDOWN')\nnext_event()\ntime.sleep(1.5)\nrun()\n"
    extended_function(lambda_client, "overtime", body, Timeout=1)
    assert call(lambda_client, "overtime") == ([], None)
    said(lambent_server, "overtime", "Task timed out after 1.00 seconds")
    said(lambent_server, "overtime", "shutdown timeout True")
    said(lambent_server, "overtime", "Status: timeout")


def test_after_a_time_out_extensions_are_told_and_started_again_with_tmp_kept(
    lambda_client: Any, lambent_server: LambentServer
) -> None:
    body = "note('notes', str(os.getpid()))\nregister('INVOKE', 'SHUTDOWN')\nrun()\n"
    extended_function(lambda_client, "again", body, Timeout=1)
    assert len(invoke(lambda_client, "again", {})) == 1
    payload, error = call(lambda_client, "again", {"sleep": 30})
    assert (payload["errorType"], error) == ("Sandbox.Timedout", "Unhandled")
    said(lambent_server, "again", "shutdown timeout True")
    wait_for(lambda: len(call(lambda_client, "again")[0]) >= 2, "second start in the same /tmp")


def test_a_runtime_that_exits_ends_extensions_too(lambda_client: Any, lambent_server: LambentServer) -> None:
    extended_function(lambda_client, "exits-beside", "register('SHUTDOWN')\nrun()\n")
    payload, _ = call(lambda_client, "exits-beside", {"exit": 3})
    assert payload["errorType"] == "Runtime.ExitError"
    said(lambent_server, "exits-beside", "shutdown failure True")
    assert call(lambda_client, "exits-beside")[1] is None


def test_memory_runs_out_in_the_runtime_while_an_extension_lives(
    lambda_client: Any, lambent_server: LambentServer
) -> None:
    code = "def handler(event, context):\n    return len(bytearray(400 << 20)) if event.get('eat') else 'ok'\n"
    extended_function(lambda_client, "eats", "register('SHUTDOWN')\nrun()\n", code, MemorySize=128, Timeout=20)
    assert call(lambda_client, "eats", {"eat": True})[0]["errorType"] == "Runtime.OutOfMemory"
    said(lambent_server, "eats", "shutdown failure True")
    assert call(lambda_client, "eats") == ("ok", None)


@pytest.mark.parametrize(
    ("name", "body", "error_type", "text"),
    [
        ("crash-at-register", "sys.exit(4)\n", "Extension.Crash", "exit status 4"),
        ("crash-at-init", "register()\nsys.exit(0)\n", "Extension.Crash", "exit code 0"),
        ("killed-at-init", "register()\nos.kill(os.getpid(), 9)\n", "Extension.Crash", "signal: killed"),
        (
            "says-init-error",
            "register()\nreport('init', 'Mine.Bad')\nsys.exit(1)\n",
            "Extension.InitError",
            "exit status 1",
        ),
        (
            "says-exit-error",
            "register()\nreport('exit', 'Mine.Bad')\nsys.exit(1)\n",
            "Extension.ExitError",
            "exit status 1",
        ),
    ],
)
def test_an_extension_that_fails_in_init(
    lambda_client: Any, lambent_server: LambentServer, name: str, body: str, error_type: str, text: str
) -> None:
    extended_function(lambda_client, name, body)
    payload, error = call(lambda_client, name)
    assert error == "Unhandled"
    assert payload["errorType"] == error_type
    assert payload["errorMessage"].endswith(f" Error: {text}")
    log = said(lambent_server, name, "\nREPORT")
    assert f"Phase: init\tStatus: error\tError Type: {error_type}" in log
    assert f"Phase: invoke\tStatus: error\tError Type: {error_type}" in log
    assert f"Status: error\tError Type: {error_type}" in log.split("\nREPORT")[1]
    assert "EXTENSION\tName: watcher\tState: " in log


@pytest.mark.parametrize(
    ("name", "file", "state", "text"),
    [
        ("not-executable", (b"#!/bin/sh\n", 0o644), "PermissionDenied", "permission denied"),
        ("no-program", (b"nothing that runs", 0o755), "UnknownError", "exec format error"),
        ("no-interpreter", (b"#!/no/such\n", 0o755), "UnknownError", "no such file or directory"),
    ],
)
def test_an_extension_that_cannot_be_started(
    lambda_client: Any, lambent_server: LambentServer, name: str, file: tuple[bytes, int], state: str, text: str
) -> None:
    create_function(lambda_client, name, {"index.py": READER}, Layers=[layer(lambda_client, name, {"bad": file})])
    payload, error = call(lambda_client, name)
    assert error == "Unhandled"
    assert payload["errorType"] == "Extension.LaunchError"
    assert payload["errorMessage"].endswith(f" Error: fork/exec /opt/extensions/bad: {text}")
    said(lambent_server, name, f"EXTENSION\tName: bad\tState: LaunchError\tEvents: []\tError Type: {state}")


def test_a_crash_during_an_invocation(lambda_client: Any, lambent_server: LambentServer) -> None:
    body = (
        "register('INVOKE')\n"
        "next_event()\n"
        "if not os.path.exists('/tmp/crashed'):\n"
        "    note('crashed', '')\n"
        "    sys.exit(7)\n"
        "run()\n"
    )
    extended_function(lambda_client, "crashes", body)
    payload, error = call(lambda_client, "crashes", {"sleep": 1})
    assert (payload["errorType"], error) == ("Extension.Crash", "Unhandled")
    assert payload["errorMessage"].endswith("Error: exit status 7")
    said(lambent_server, "crashes", "Status: error\tError Type: Extension.Crash")
    assert call(lambda_client, "crashes") == ([], None)


def test_a_crash_after_the_answer_is_said_in_the_log(lambda_client: Any, lambent_server: LambentServer) -> None:
    body = "register('INVOKE')\nnext_event()\ntime.sleep(0.3)\nsys.exit(7)\n"
    extended_function(lambda_client, "crashes-late", body)
    assert call(lambda_client, "crashes-late") == ([], None)
    said(lambent_server, "crashes-late", "Status: error\tError Type: Extension.Crash")


def test_a_crash_while_the_tail_is_waited_for_holds_nothing_up(
    lambda_client: Any, lambent_server: LambentServer
) -> None:
    body = "register('INVOKE')\nnext_event()\ntime.sleep(0.03)\nsys.exit(7)\n"
    extended_function(lambda_client, "crashes-in-tail", body, Timeout=20)
    # With one environment, the next call needs the one that failed.
    lambda_client.put_function_concurrency(FunctionName="crashes-in-tail", ReservedConcurrentExecutions=1)
    for _ in range(3):

        def answer() -> Any:
            try:
                return lambda_client.invoke(FunctionName="crashes-in-tail", Payload=b"{}", LogType="Tail")
            except lambda_client.exceptions.TooManyRequestsException:
                return None

        wait_for(answer, "free environment")
    said(lambent_server, "crashes-in-tail", "Status: error\tError Type: Extension.Crash")


@pytest.mark.parametrize(
    ("name", "body"),
    [("hangs-at-register", "time.sleep(60)\n"), ("hangs-at-init", "register()\ntime.sleep(60)\n")],
)
def test_an_extension_that_hangs_in_init(lambent_server_factory: ServerFactory, name: str, body: str) -> None:
    server = lambent_server_factory({"environments.init_seconds": "1"})
    client = server.client()
    extended_function(client, name, body, Timeout=1)
    payload, error = call(client, name)
    assert (payload["errorType"], error) == ("Sandbox.Timedout", "Unhandled")
    log = said(server, name, "\nREPORT")
    assert "Phase: init\tStatus: timeout" in log
    assert "Phase: invoke\tStatus: timeout" in log


def test_an_extension_that_hangs_at_shutdown_is_killed(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory()
    body = "register('SHUTDOWN')\nsay(next_event()['eventType'])\ntime.sleep(60)\n"
    extended_function(server.client(), "lingers", body)
    assert call(server.client(), "lingers")[1] is None
    # Asserts that nothing is left: processes, mounts, cgroups, links.
    server.stop()


def test_internal_extensions(lambda_client: Any, lambent_server: LambentServer) -> None:
    code = """
import json, os, threading, urllib.error, urllib.request
API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension/"
def register(name, *events):
    body = json.dumps({"events": events}).encode()
    request = urllib.request.Request(API + "register", body, {"Lambda-Extension-Name": name})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers["Lambda-Extension-Identifier"]
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
told = []
def run(identifier):
    while True:
        request = urllib.request.Request(API + "event/next", headers={"Lambda-Extension-Identifier": identifier})
        told.append(json.loads(urllib.request.urlopen(request).read())["eventType"])
refused = register("inside", "INVOKE", "SHUTDOWN")
threading.Thread(target=run, args=(register("inside", "INVOKE")[1],), daemon=True).start()
def handler(event, context):
    return refused, register("late", "INVOKE"), list(told)
"""
    create_function(lambda_client, "internal", {"index.py": code})
    invoke(lambda_client, "internal", {})
    refused, late, told = invoke(lambda_client, "internal", {})
    assert refused == [
        403,
        {
            "errorMessage": "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension",
            "errorType": "Extension.InvalidEventType",
        },
    ]
    assert late == [
        403,
        {"errorMessage": "Extension registration closed already", "errorType": "Extension.RegistrationClosed"},
    ]
    assert told[0] == "INVOKE"
    said(lambent_server, "internal", "EXTENSION\tName: inside\tState: Ready\tEvents: [INVOKE]")


def test_refusals(lambda_client: Any) -> None:
    body = (
        "def kind(answer): return [answer[0], answer[-1]['errorType']]\n"
        "calls = [ask('GET', '/2020-01-01/extension/event/next')]\n"
        "calls += [ask('GET', '/2020-01-01/extension/event/next', headers={'Lambda-Extension-Identifier': 'x'})]\n"
        "strange = {'Lambda-Extension-Identifier': '00000000-0000-0000-0000-000000000000'}\n"
        "calls += [ask('GET', '/2020-01-01/extension/event/next', headers=strange)]\n"
        "calls += [ask('POST', '/2020-01-01/extension/register', {'events': []})]\n"
        "named = {'Lambda-Extension-Name': NAME}\n"
        "calls += [ask('POST', '/2020-01-01/extension/register', b'{', named)]\n"
        "calls += [ask('POST', '/2020-01-01/extension/register', {'events': ['WAKE']}, named)]\n"
        "calls += [ask('POST', '/2020-01-01/extension/register', {'configurationKeys': ['a']}, named)]\n"
        "register('INVOKE')\n"
        "calls += [register('INVOKE')]\n"
        "calls += [ask('POST', '/2020-01-01/extension/init/error', {})]\n"
        "calls += [ask('GET', '/2020-01-01/extension/elsewhere')]\n"
        "note('notes', json.dumps([kind(each) for each in calls]))\n"
        "run()\n"
    )
    extended_function(lambda_client, "refused", body)
    assert json.loads(invoke(lambda_client, "refused", {})[0]) == [
        [403, "Extension.MissingExtensionIdentifier"],
        [403, "Extension.InvalidExtensionIdentifier"],
        [403, "Extension.UnknownExtensionIdentifier"],
        [403, "Extension.InvalidExtensionName"],
        [403, "InvalidRequestFormat"],
        [403, "Extension.InvalidEventType"],
        [403, "InvalidRequestFormat"],
        [403, "Extension.InvalidExtensionState"],
        [403, "Extension.MissingHeader"],
        [404, "NotFound"],
    ]


def test_ten_extensions_and_not_one_more(lambda_client: Any, lambent_server: LambentServer) -> None:
    # A shell starts quicker than ten interpreters, and is an extension like any other.
    body = (
        b"#!/bin/bash\n"
        b"exec 3<>/dev/tcp/127.0.0.1/9001\n"
        b'body=\'{"events":["INVOKE"]}\'\n'
        b"printf 'POST /2020-01-01/extension/register HTTP/1.1\\r\\nLambda-Extension-Name: %s\\r\\n"
        b'Content-Length: %d\\r\\n\\r\\n%s\' "${0##*/}" ${#body} "$body" >&3\n'
        b"while IFS= read -r -u 3 line; line=${line%$'\\r'}; [ -n \"$line\" ]; do\n"
        b"  case ${line,,} in lambda-extension-identifier:*) id=${line#*: } ;; esac\n"
        b"  case ${line,,} in content-length:*) n=${line#*: } ;; esac\n"
        b"done\n"
        b"read -r -N $n -u 3 body\n"
        b"while :; do\n"
        b"  printf 'GET /2020-01-01/extension/event/next HTTP/1.1\\r\\n' >&3\n"
        b"  printf 'Lambda-Extension-Identifier: %s\\r\\n\\r\\n' $id >&3\n"
        b"  while IFS= read -r -u 3 line; line=${line%$'\\r'}; [ -n \"$line\" ]; do\n"
        b"    case ${line,,} in content-length:*) n=${line#*: } ;; esac\n"
        b"  done\n"
        b"  read -r -N $n -u 3 body\n"
        b"  echo told >>/tmp/notes\n"
        b"done\n"
    )
    files = {f"e{number}": (body, 0o755) for number in range(10)}
    create_function(lambda_client, "ten", {"index.py": READER}, Layers=[layer(lambda_client, "ten", files)])
    invoke(lambda_client, "ten", {})
    wait_for(lambda: invoke(lambda_client, "ten", {}).count("told") >= 10, "event for each of ten")
    files["f"] = (body, 0o755)
    create_function(lambda_client, "eleven", {"index.py": READER}, Layers=[layer(lambda_client, "eleven", files)])
    payload, _ = call(lambda_client, "eleven")
    assert payload["errorType"] == "Extension.LaunchError"
    said(lambent_server, "eleven", "Name: f\tState: LaunchError\tEvents: []\tError Type: TooManyExtensions")


def test_beside_node_and_a_custom_runtime(lambda_client: Any) -> None:
    arn = layer(lambda_client, "beside", {"watcher": "register('INVOKE')\nnote('notes', 'ready')\nrun()\n"})
    node = {"index.js": "exports.handler = async () => require('fs').readFileSync('/tmp/notes', 'utf8');\n"}
    create_function(lambda_client, "beside-node", node, Runtime="nodejs20.x", Layers=[arn])
    assert invoke(lambda_client, "beside-node", {}) == "ready\n"
    assert invoke(lambda_client, "beside-node", {}) == "ready\n"
    bootstrap = (
        "#!/bin/bash\napi=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation\nwhile :; do\n"
        "  id=$(curl -sD - -o /dev/null $api/next | tr -d '\\r' | sed -n 's/^Lambda-Runtime-Aws-Request-Id: //p')\n"
        '  curl -s -o /dev/null -d "\\"$(cat /tmp/notes)\\"" $api/$id/response\ndone\n'
    )
    request = {"Role": "arn:aws:iam::000000000000:role/test", "Runtime": "provided.al2023", "Handler": "any"}
    code = {"ZipFile": make_zip_bytes({"bootstrap": (bootstrap, 0o755)})}
    lambda_client.create_function(FunctionName="beside-custom", Code=code, Layers=[arn], **request)
    lambda_client.get_waiter("function_active_v2").wait(FunctionName="beside-custom")
    assert invoke(lambda_client, "beside-custom", {}) == "ready"


def test_without_isolation(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"isolation.level": "L0"})
    client = server.client()
    body = "register('INVOKE', 'SHUTDOWN')\nsay('ready')\nrun()\n"
    extended_function(client, "l0", body, "def handler(event, context):\n    return event\n")
    assert call(client, "l0", {"a": 1}) == ({"a": 1}, None)
    assert call(client, "l0", {"a": 2}) == ({"a": 2}, None)
    retire(client, "l0")
    said(server, "l0", "shutdown spindown True")
    payload, _ = call(client, "l0", {"a": 3})
    assert payload == {"a": 3}


@pytest.mark.long
def test_an_extension_in_go(lambda_client: Any, tmp_path: Path) -> None:
    source = r"""
package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2020-01-01/extension/"
	request, _ := http.NewRequest("POST", api+"register", bytes.NewBufferString(`{"events":["INVOKE","SHUTDOWN"]}`))
	request.Header.Set("Lambda-Extension-Name", filepath.Base(os.Args[0]))
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	io.Copy(io.Discard, answer.Body)
	identifier := answer.Header.Get("Lambda-Extension-Identifier")
	for {
		request, _ := http.NewRequest("GET", api+"event/next", nil)
		request.Header.Set("Lambda-Extension-Identifier", identifier)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(answer.Body)
		file, _ := os.OpenFile("/tmp/notes", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		file.Write(append(body, '\n'))
		file.Close()
		if bytes.Contains(body, []byte("SHUTDOWN")) {
			return
		}
	}
}
"""
    (tmp_path / "main.go").write_text(source)
    command = ["go", "build", "-o", str(tmp_path / "watcher"), "main.go"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    arn = layer(lambda_client, "go", {"watcher": ((tmp_path / "watcher").read_bytes(), 0o755)})
    create_function(lambda_client, "go-beside", {"index.py": READER}, Layers=[arn])
    invoke(lambda_client, "go-beside", {})
    assert json.loads(invoke(lambda_client, "go-beside", {})[0])["eventType"] == "INVOKE"


def test_hostile_extensions(lambda_client: Any, lambent_server: LambentServer) -> None:
    body = (
        "register('INVOKE', 'SHUTDOWN')\n"
        # Garbage, floods and half requests on the platform's own address.
        "host, port = os.environ['AWS_LAMBDA_RUNTIME_API'].split(':')\n"
        "kept = []\n"
        "half = b'POST /2020-01-01/extension/register HTTP/1.1\\r\\n'\n"
        "for data in (b'\\0' * 5000, b'GET / HTTP/1.1\\r\\n\\r\\n' * 500, half):\n"
        "    connection = socket.create_connection((host, int(port)))\n"
        "    connection.sendall(data)\n"
        "    kept.append(connection)\n"
        "identity = ('Lambda-Extension-Identifier: ' + IDENTITY['Lambda-Extension-Identifier']).encode()\n"
        "asked = b'GET /2020-01-01/extension/event/next HTTP/1.1\\r\\n' + identity + b'\\r\\n\\r\\n'\n"
        "connection = socket.create_connection((host, int(port)))\n"
        "connection.sendall(asked)\n"
        "time.sleep(0.1)\n"
        "second = ask('GET', '/2020-01-01/extension/event/next')\n"
        "say('second', second[0], second[2]['errorType'])\n"
        "print('y' * 3000000, flush=True)\n"
        "connection.recv(65536)\n"
        "run()\n"
    )
    # The runtime is not ready yet when the extension asks for the second time, so no event has come between.
    extended_function(lambda_client, "hostile", body, "import time\ntime.sleep(1)\n" + READER, Timeout=10)
    for _ in range(3):
        assert call(lambda_client, "hostile")[1] is None
    said(lambent_server, "hostile", "second 403 Extension.InvalidExtensionState")


def test_an_extension_that_stops_itself_runs_into_the_time_out(
    lambda_client: Any, lambent_server: LambentServer
) -> None:
    body = (
        "register('INVOKE')\n"
        "next_event()\n"
        "if not os.path.exists('/tmp/stopped'):\n"
        "    note('stopped', '')\n"
        "    os.kill(os.getpid(), 19)\n"
        "run()\n"
    )
    extended_function(lambda_client, "stops", body, Timeout=1)
    assert call(lambda_client, "stops") == ([], None)
    said(lambent_server, "stops", "Task timed out after 1.00 seconds")
    wait_for(lambda: call(lambda_client, "stops") == ([], None), "answer of a fresh start")
