"""Our Node.js runtime under the machine's real node: what it posts and logs, handler by handler."""

from __future__ import annotations

import base64
import json
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily
from lambent.environments.sandbox.waiting_process import node_flags
from tests.runtimes.fake_runtime_api import INVOKED_ARN, Event, FakeRuntimeApi, Ran, run_runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIXTURE = Path(__file__).parent / "fixtures" / "nodejs" / "table.js"
_CLIENT = Path(__file__).parents[2] / "src/lambent/environments/runtimes/clients/nodejs/bootstrap.mjs"
_NODE = shutil.which("node") or ""
_VERSION = subprocess.run([_NODE, "--version"], capture_output=True, text=True, check=True).stdout if _NODE else "v20.0"
_INTERPRETER = Interpreter(RuntimeFamily.NODEJS, _NODE, _VERSION.strip().removeprefix("v"))
_START = (_NODE, *node_flags(_INTERPRETER, None, str(_CLIENT.parent)))
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _NODE, reason="no node on this machine"),
]


def _variables(directory: Path, handler: str, **more: str) -> dict[str, str]:
    return {
        "_HANDLER": handler,
        "LAMBDA_TASK_ROOT": str(directory),
        "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs20.x",
        "AWS_LAMBDA_FUNCTION_NAME": "table",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/table",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]0",
        "MINE": "yes",
        **more,
    }


def _run(directory: Path, handler: str, events: list[Any], **more: str) -> Ran:
    made = [
        each if isinstance(each, Event) else Event(json.dumps(each).encode(), f"request-{index}")
        for index, each in enumerate(events)
    ]
    return run_runtime([*_START, str(_CLIENT)], _variables(directory, handler, **more), directory, made)


def _task(tmp_path: Path, files: Mapping[str, str]) -> Path:
    directory = tmp_path / "task"
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def _table(tmp_path: Path) -> Path:
    return _task(tmp_path, {"table.js": _FIXTURE.read_text()})


_RESULTS: dict[str, object] = {
    "nothing": None,
    "callback": {"from": "callback"},
    "callbackLate": "late",
    "callbackWaits": "first",
    "callbackDoesNotWait": "at once",
    "never": None,
    "neverPromise": None,
    "syncReturn": None,
    "succeed": {"by": "succeed"},
    "done": "by done",
    "asFunction": None,
    "thenable": "from thenable",
}

_ERRORS = {
    "callbackError": ("CustomError", "by callback"),
    "callbackText": ("string", "only text"),
    "fail": ("Error", "by fail"),
    "failEmpty": ("string", "handled"),
    "doneError": ("TypeError", "by done"),
    "throws": ("CustomError", "thrown"),
    "throwsSync": ("RangeError", "at once"),
    "throwsText": ("string", "text only"),
    "throwsObject": ("object", "[object Object]"),
    "throwsNull": ("object", "null"),
    "multiline": ("Error", "first\nsecond"),
    "circular": ("Error", "Unable to stringify response body"),
    "bigint": ("Error", "Unable to stringify response body"),
}


def test_results(tmp_path: Path) -> None:
    """What handlers return, pass to the callback, or leave undone."""
    values = [1, "é\u2028\U0001f600", {"a": [None, True, 1.5]}, "x" * 2_000_000]
    events = [{"do": name} for name in _RESULTS] + [{"do": "echo", "value": value} for value in values]
    ran = _run(_table(tmp_path), "table.handler", events)
    assert [each.path for each in ran.posted] == [f"invocation/request-{n}/response" for n in range(len(events))]
    assert [json.loads(each.body) for each in ran.posted] == [*_RESULTS.values(), *values]
    assert {each.headers["content-type"] for each in ran.posted} == {"application/json"}
    assert "after callback" in ran.output


def test_errors_have_the_shape_of_the_official_runtime(tmp_path: Path) -> None:
    """errorType, errorMessage, trace; the log says Invoke Error with the same and the error's own properties."""
    ran = _run(_table(tmp_path), "table.handler", [{"do": name} for name in _ERRORS])
    lines = ran.output.splitlines()
    assert len(lines) == len(_ERRORS)
    for index, (posted, (kind, message)) in enumerate(zip(ran.posted, _ERRORS.values(), strict=True)):
        payload = json.loads(posted.body)
        assert posted.path == f"invocation/request-{index}/error"
        assert list(payload) == ["errorType", "errorMessage", "trace"]
        assert (payload["errorType"], payload["errorMessage"]) == (kind, message)
        assert posted.headers["lambda-runtime-function-error-type"] == kind
        is_error = kind[0].isupper()
        assert bool(payload["trace"]) is is_error
        if is_error:
            assert "\n".join(payload["trace"]).startswith(f"{kind}: {message}\n    at ")
        head, _, text = lines[index].partition("Invoke Error \t")
        assert _TIME.sub("TIME", head) == f"TIME\trequest-{index}\tERROR\t"
        if is_error:
            logged = json.loads(text)
            assert (logged["errorType"], logged["errorMessage"]) == (kind, message)
            assert logged["stack"] == payload["trace"]
    custom = json.loads(lines[list(_ERRORS).index("throws")].partition("Invoke Error \t")[2])
    assert custom["order"] == 17


def test_the_stack_begins_in_the_functions_code(tmp_path: Path) -> None:
    """As on AWS, the handler's frame is called Runtime.handler."""
    directory = _task(tmp_path, {"index.mjs": "export async function handler() {\n  throw new Error('here');\n}\n"})
    ran = _run(directory, "index.handler", [{}])
    trace = json.loads(ran.posted[0].body)["trace"]
    assert trace[1] == f"    at Runtime.handler (file://{directory}/index.mjs:2:9)"


def test_context(tmp_path: Path) -> None:
    """Every member of the context object, with and without client context and identity."""
    client = {"client": {"installation_id": "i"}, "Custom": {"a": 1}, "env": {}}
    headers = {
        "Lambda-Runtime-Client-Context": json.dumps(client),
        "Lambda-Runtime-Cognito-Identity": '{"cognitoIdentityId": "c", "cognitoIdentityPoolId": "p"}',
    }
    event = Event(b'{"do": "context"}', "request-1", headers)
    ran = _run(_table(tmp_path), "table.handler", [{"do": "context"}, event, {"do": "process"}])
    plain, full, process = (json.loads(each.body) for each in ran.posted)
    keys = plain.pop("keys")
    assert {"succeed", "fail", "done", "clientContext", "identity", "getRemainingTimeInMillis"} <= set(keys)
    assert plain == {
        "callbackWaitsForEmptyEventLoop": True,
        "functionVersion": "$LATEST",
        "functionName": "table",
        "memoryLimitInMB": "128",
        "logGroupName": "/aws/lambda/table",
        "logStreamName": "2026/01/01/[$LATEST]0",
        "invokedFunctionArn": INVOKED_ARN,
        "awsRequestId": "request-0",
        "remaining": True,
        "trace": "Root=1-request-0;Parent=0;Sampled=0",
    }
    assert full["clientContext"] == client
    assert full["identity"] == {"cognitoIdentityId": "c", "cognitoIdentityPoolId": "p"}
    assert full["trace"] == "Root=1-request-1;Parent=0;Sampled=0"
    assert process["directory"] == str(tmp_path / "task")
    assert process["mine"] == "yes"
    assert process["awslambda"] == ["HttpResponseStream", "streamifyResponse"]


def test_log_as_text(tmp_path: Path) -> None:
    """Time, request id, level, message, separated by tabs; line ends inside a message are carriage returns."""
    ran = _run(_table(tmp_path), "table.handler", [{"do": "logs"}])
    lines = [_TIME.sub("TIME", line) for line in ran.output.split("\n")]
    assert lines[:4] == [
        "TIME\trequest-0\tINFO\tplain",
        'TIME\trequest-0\tINFO\tformat a 1 {"b":2} rest',
        "TIME\trequest-0\tINFO\t{ a: 1 }",
        "TIME\trequest-0\tWARN\ttwo\rlines",
    ]
    assert lines[4].startswith("TIME\trequest-0\tERROR\tCustomError: logged\r    at ")
    assert lines[5:7] == ["TIME\trequest-0\tDEBUG\tdebug", "TIME\trequest-0\tTRACE\ttrace"]
    assert lines[7].startswith("TIME\trequest-0\tERROR\twith CustomError: inside\r    at ")
    assert lines[8] == "TIME\trequest-0\tINFO\t<ref *1> { self: [Circular *1] }"
    assert lines[9:] == ["raw line", ""]


def test_log_as_json(tmp_path: Path) -> None:
    """One object a line, errors taken apart, levels below the configured one silent."""
    ran = _run(
        _table(tmp_path), "table.handler", [{"do": "logs"}, {"do": "throws"}],
        AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="INFO",
    )  # fmt: skip
    lines = [json.loads(line) for line in ran.output.splitlines() if line != "raw line"]
    assert [(line["level"], line.get("requestId")) for line in lines[:3]] == [("INFO", "request-0")] * 3
    assert lines[1]["message"] == 'format a 1 {"b":2} rest'
    assert lines[2]["message"] == {"a": 1}
    assert lines[3]["message"] == "two\nlines"
    assert lines[4]["message"]["errorType"] == "CustomError"
    assert lines[4]["message"]["order"] == 17
    assert (lines[5]["errorType"], lines[5]["errorMessage"]) == ("CustomError", "inside")
    assert lines[5]["stackTrace"][0] == "CustomError: inside"
    assert "Circular" in lines[6]["message"]
    assert (lines[7]["level"], lines[7]["errorType"], lines[7]["requestId"]) == ("ERROR", "CustomError", "request-1")
    assert len(lines) == 8


_LOADED = {
    "commonjs": ({"index.js": "exports.handler = async () => 'ok'"}, "index.handler"),
    "cjs": ({"index.cjs": "exports.handler = async () => 'ok'"}, "index.handler"),
    "mjs": ({"index.mjs": "export const handler = async () => 'ok'"}, "index.handler"),
    "type-module": (
        {"package.json": '{"type": "module"}', "src/index.js": "export const handler = async () => 'ok'"},
        "src/index.handler",
    ),
    "nearer-package": (
        {
            "package.json": '{"type": "module"}',
            "a/package.json": "{}",
            "a/index.js": "exports.handler = async () => 'ok'",
        },
        "a/index.handler",
    ),
    "top-level-await": (
        {"index.mjs": "const v = await Promise.resolve('ok'); export const handler = async () => v"},
        "index.handler",
    ),
    "nested": ({"lib/file.js": "exports.a = {b: {handler: async () => 'ok'}}"}, "lib/file.a.b.handler"),
    "default-export": ({"index.mjs": "export default {handler: async () => 'ok'}"}, "index.handler"),
    "directory": ({"app/index.js": "exports.handler = async () => 'ok'"}, "app.handler"),
    "node-modules": ({"node_modules/app/index.js": "exports.handler = async () => 'ok'"}, "app.handler"),
    "imports-commonjs": (
        {"a.cjs": "exports.v = 'ok'", "index.mjs": "import {v} from './a.cjs'; export const handler = async () => v"},
        "index.handler",
    ),
}


@pytest.mark.parametrize("name", list(_LOADED))
def test_handlers_are_found(tmp_path: Path, name: str) -> None:
    """CommonJS, ES modules, nested paths and names."""
    files, handler = _LOADED[name]
    ran = _run(_task(tmp_path, files), handler, [{}])
    assert [each.body for each in ran.posted] == [b'"ok"'], ran.output


@pytest.mark.parametrize("kind", ["commonjs", "module", "module-inside"])
def test_modules_on_node_path_are_found(tmp_path: Path, kind: str) -> None:
    """Layers and SDK: NODE_PATH serves require and, as on AWS, import too."""
    layer = tmp_path / "layer" / "node_modules" / "@scope" / "thing"
    layer.mkdir(parents=True)
    (layer / "package.json").write_text('{"name": "@scope/thing", "exports": "./main.mjs"}')
    (layer / "main.mjs").write_text("export const v = 'ok'")
    (layer.parent / "old").mkdir()
    (layer.parent / "old" / "index.js").write_text("exports.v = 'ok'")
    imports = "import {v} from '@scope/thing'; "
    files = {
        "commonjs": {"index.js": "exports.handler = async () => require('@scope/old').v"},
        "module": {"index.mjs": f"{imports}export const handler = async () => v"},
        "module-inside": {
            "inner.mjs": f"{imports}export const w = v",
            "index.mjs": "import {w} from './inner.mjs'; export const handler = async () => w",
        },
    }[kind]
    nowhere = str(tmp_path / "nowhere" / "node_modules")
    ran = _run(
        _task(tmp_path, files), "index.handler", [{}], NODE_PATH=f"{nowhere}:{tmp_path / 'layer' / 'node_modules'}"
    )
    assert [each.body for each in ran.posted] == [b'"ok"'], ran.output


_BROKEN = {
    "missing": ({}, "nowhere.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'nowhere'\nRequire"),
    "requires-missing": (
        {"index.js": "require('no-such')"},
        "index.handler",
        "Runtime.ImportModuleError",
        "Error: Cannot find module 'no-such'\nRequire stack:\n- TASK/index.js\n- /var/runtime/index.mjs",
    ),
    "imports-missing": (
        {"index.mjs": "import 'no-such'"},
        "index.handler",
        "Runtime.ImportModuleError",
        "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'no-such' imported from TASK/index.mjs",
    ),
    "syntax": (
        {"index.js": "exports.handler = ("},
        "index.handler",
        "Runtime.UserCodeSyntaxError",
        "SyntaxError: Unexpected end of input",
    ),
    "syntax-module": (
        {"index.mjs": "export const handler = )"},
        "index.handler",
        "Runtime.UserCodeSyntaxError",
        "SyntaxError: Unexpected token ')'",
    ),
    "no-function": (
        {"index.js": "exports.other = 1"},
        "index.handler",
        "Runtime.HandlerNotFound",
        "index.handler is undefined or not exported",
    ),
    "not-a-function": (
        {"index.js": "exports.handler = 1"},
        "index.handler",
        "Runtime.HandlerNotFound",
        "index.handler is not a function",
    ),
    "malformed": ({"index.js": ""}, "index", "Runtime.MalformedHandlerName", "Bad handler"),
    "outside": (
        {"index.js": ""},
        "../index.handler",
        "Runtime.MalformedHandlerName",
        "'../index.handler' is not a valid handler name. Use absolute paths when specifying root directories in "
        "handler names.",
    ),
    "throws": ({"index.js": "throw new TypeError('at import')"}, "index.handler", "TypeError", "at import"),
    "rejects": (
        {"index.js": "Promise.reject(new Error('lost')); exports.handler = async () => 1"},
        "index.handler",
        "Runtime.UnhandledPromiseRejection",
        "Error: lost",
    ),
}


@pytest.mark.parametrize("name", list(_BROKEN))
def test_init_errors(tmp_path: Path, name: str) -> None:
    """A function that cannot be loaded is reported, logged, and its process ends."""
    files, handler, kind, message = _BROKEN[name]
    directory = _task(tmp_path, {"keep": "", **files})
    # A rejection at import is seen a moment later; the process waits for an invocation by then, or is still loading.
    ran = _run(directory, handler, [{}] if name == "rejects" else [])
    payload = json.loads(ran.posted[-1].body)
    text = payload["errorMessage"].replace(str(directory), "TASK")
    assert (payload["errorType"], text.startswith(message)) == (kind, True), text
    assert ran.code == (128 if name == "rejects" else 129)
    if name != "rejects":
        assert [each.path for each in ran.posted] == ["init/error"]
        assert ran.posted[0].headers["lambda-runtime-function-error-type"] == kind
        head, _, logged = ran.output.splitlines()[-1].partition("Uncaught Exception \t")
        assert _TIME.sub("TIME", head) == "TIME\tundefined\tERROR\t"
        assert json.loads(logged)["errorType"] == kind


@pytest.mark.parametrize(
    ("code", "kind", "message", "exit_code"),
    [
        ("setTimeout(() => { throw new Error('later') }, 1); await new Promise(() => {setTimeout(() => {}, 9999)})",
         "Error", "later", 129),
        ("Promise.reject(new Error('lost')); await new Promise(() => {setTimeout(() => {}, 9999)})",
         "Runtime.UnhandledPromiseRejection", "Error: lost", 128),
    ],
    ids=["exception", "rejection"],
)  # fmt: skip
def test_uncaught_errors_end_the_process(tmp_path: Path, code: str, kind: str, message: str, exit_code: int) -> None:
    """An error outside the handler's own promise fails the invocation and ends the process."""
    directory = _task(tmp_path, {"index.js": f"exports.handler = async () => {{ {code} }}"})
    ran = _run(directory, "index.handler", [{}, {}])
    assert [each.path for each in ran.posted] == ["invocation/request-0/error"]
    payload = json.loads(ran.posted[0].body)
    assert (payload["errorType"], payload["errorMessage"], ran.code) == (kind, message, exit_code)


def test_exit_answers_nothing(tmp_path: Path) -> None:
    """process.exit in a handler: the platform sees the exit code."""
    directory = _task(tmp_path, {"index.js": "exports.handler = async () => process.exit(7)"})
    ran = _run(directory, "index.handler", [{}])
    assert (ran.posted, ran.code) == ([], 7)


def test_streamed_results(tmp_path: Path) -> None:
    """streamifyResponse: bytes as they are written, content types, the HTTP prelude, errors before and after."""
    code = """
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  if (event.do === 'throw') throw new Error('before');
  if (event.do === 'type') stream.setContentType('text/plain');
  if (event.do === 'http') stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201 });
  if (event.do === 'pipe') return pipeline(Readable.from(['a', 'b', 'c']), stream);
  stream.write('one ');
  if (event.do === 'late') throw new Error('after');
  if (event.do === 'large') stream.write(Buffer.alloc(3_000_000, 'x'));
  if (event.do !== 'unended') stream.end('two');
});
"""
    names = ["plain", "type", "http", "pipe", "large", "throw", "late", "unended", "empty"]
    ran = _run(_task(tmp_path, {"index.js": code}), "index.handler", [{"do": name} for name in names])
    got = dict(zip(names, ran.posted, strict=True))
    assert got["plain"].body == b"one two"
    assert got["plain"].headers["lambda-runtime-function-response-mode"] == "streaming"
    assert got["plain"].headers["content-type"] == "application/octet-stream"
    assert got["type"].headers["content-type"] == "text/plain"
    assert got["http"].headers["content-type"] == "application/vnd.awslambda.http-integration-response"
    assert got["http"].body == b'{"statusCode":201}' + bytes(8) + b"one two"
    assert got["pipe"].body == b"abc"
    assert len(got["large"].body) == 3_000_007
    assert got["throw"].path.endswith("/error")
    assert json.loads(got["throw"].body)["errorMessage"] == "before"
    assert got["late"].body == b"one "
    assert got["late"].headers["lambda-runtime-function-error-type"] == "Error"
    error = json.loads(base64.b64decode(got["late"].headers["lambda-runtime-function-error-body"]))
    assert error["errorMessage"] == "after"
    assert got["unended"].body == b"one "


def test_callbacks_end_with_node_24(tmp_path: Path) -> None:
    """Under nodejs24.x: no callback handlers, no context.done, and a plain return value counts."""
    old = _task(tmp_path / "old", {"index.js": "exports.handler = (event, context, callback) => callback()"})
    ran = _run(old, "index.handler", [], AWS_EXECUTION_ENV="AWS_Lambda_nodejs24.x")
    assert json.loads(ran.posted[0].body)["errorType"] == "Runtime.CallbackHandlerDeprecated"
    new = _task(tmp_path / "new", {"index.js": "exports.handler = (event, context) => [typeof context.done, 1]"})
    ran = _run(new, "index.handler", [{}], AWS_EXECUTION_ENV="AWS_Lambda_nodejs24.x")
    assert json.loads(ran.posted[0].body) == ["undefined", 1]


def test_a_waiting_process_becomes_the_function(tmp_path: Path) -> None:
    """Descriptor 3: ready, then variables; TZ, the environment and NODE_PATH are those of the function."""
    directory = _task(
        tmp_path,
        {
            "index.js": "const v = new Date(0).getHours(); require('thing');"
            "exports.handler = async () => [v, Object.keys(process.env).sort(), process.cwd()]"
        },
    )
    thing = tmp_path / "layer" / "node_modules" / "thing.js"
    thing.parent.mkdir(parents=True)
    thing.write_text("")
    ours, theirs = socket.socketpair()
    with FakeRuntimeApi([Event(b"{}", "a")]) as api, ours, theirs:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {' '.join(_START)} {_CLIENT} 3<&0 </dev/null"],
            stdin=theirs.fileno(), env={"PATH": "/usr/bin", "LEFT": "over"}, stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert ours.recv(64) == b"ready\n"
            variables = {
                "_HANDLER": "index.handler",
                "LAMBDA_TASK_ROOT": str(directory),
                "AWS_LAMBDA_RUNTIME_API": api.address,
                "TZ": "Asia/Tokyo",
                "NODE_PATH": str(thing.parent),
                "LARGE": "x" * 4_000,
            }
            ours.sendall(json.dumps({"variables": variables}).encode() + b"\n")
            assert api.wait(lambda it: len(it.posted) == 1)
        finally:
            process.kill()
            output = process.communicate()[0]
        hours, names, where = json.loads(api.posted[0].body)
    assert (hours, where) == (9, str(directory)), output
    assert names == sorted([*variables, "_X_AMZN_TRACE_ID"])


def test_sigterm_reaches_the_functions_own_listener(tmp_path: Path) -> None:
    """While the runtime waits for work, a listener for SIGTERM runs."""
    directory = _task(
        tmp_path,
        {
            "index.js": "process.on('SIGTERM', () => { console.log('flushed'); process.exit(0) });"
            "exports.handler = async () => 1"
        },
    )
    with FakeRuntimeApi([Event(b"{}", "a")]) as api:
        variables = {**_variables(directory, "index.handler"), "AWS_LAMBDA_RUNTIME_API": api.address}
        process = subprocess.Popen([*_START, str(_CLIENT)], cwd=directory, env=variables, stdout=subprocess.PIPE)
        assert api.wait(lambda it: it.waits == 2)
        process.terminate()
        output = process.communicate(timeout=20)[0]
    assert b"flushed" in output
    assert process.returncode == 0
