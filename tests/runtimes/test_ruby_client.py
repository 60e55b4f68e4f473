"""Our Ruby runtime under the machine's real ruby: what it posts and logs, handler by handler."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.runtimes.fake_runtime_api import INVOKED_ARN, Event, FakeRuntimeApi, Ran, run_runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIXTURE = Path(__file__).parent / "fixtures" / "ruby" / "table.rb"
_CLIENT = Path(__file__).parents[2] / "src/lambent/environments/runtimes/clients/ruby/bootstrap.rb"
_RUBY = shutil.which("ruby") or ""
_GEMS = Path(__file__).parents[2] / ".venv" / "share" / "gems"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _RUBY, reason="no ruby on this machine"),
]


def _variables(directory: Path, handler: str, **more: str) -> dict[str, str]:
    return {
        "_HANDLER": handler,
        "LAMBDA_TASK_ROOT": str(directory),
        "AWS_EXECUTION_ENV": "AWS_Lambda_ruby3.4",
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
    return run_runtime([_RUBY, str(_CLIENT)], _variables(directory, handler, **more), directory, made)


def _task(tmp_path: Path, files: Mapping[str, str]) -> Path:
    directory = tmp_path / "task"
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def _table(tmp_path: Path) -> Path:
    return _task(tmp_path, {"table.rb": _FIXTURE.read_text()})


def test_results(tmp_path: Path) -> None:
    """JSON of every kind, text that needs care, megabytes, and what is no JSON."""
    values = [1, "é\u2028\U0001f600", {"a": [None, True, 1.5]}, [], "x" * 2_000_000, None, False]
    events = [{"do": "echo", "value": value} for value in values] + [{"do": each} for each in ("symbols", "nothing")]
    ran = _run(_table(tmp_path), "table.handler", [*events, {"do": "io"}])
    *posted, raw = ran.posted
    assert [each.path for each in ran.posted] == [f"invocation/request-{n}/response" for n in range(len(events) + 1)]
    assert [json.loads(each.body) for each in posted] == [*values, {"a": "b", "1": None, "f": 1.5}, None]
    assert {each.headers["content-type"] for each in posted} == {"application/json"}
    assert (raw.headers["content-type"], raw.body) == ("application/unknown", b"This is no JSON")


def test_events_of_every_kind(tmp_path: Path) -> None:
    """Not only objects."""
    directory = _task(tmp_path, {"f.rb": "def handler(event:, context:)\n  [event.class.to_s, event]\nend\n"})
    ran = _run(directory, "f.handler", [1, "text", None, True, [1], {"a": "é"}])
    assert [json.loads(each.body)[0] for each in ran.posted] == [
        "Integer", "String", "NilClass", "TrueClass", "Array", "Hash",
    ]  # fmt: skip
    assert json.loads(ran.posted[-1].body)[1] == {"a": "é"}


def test_handler_forms(tmp_path: Path) -> None:
    """A method of the file, of a class, of a class in a module, in a folder; keywords or one argument."""
    directory = _table(tmp_path)
    (directory / "lib").mkdir()
    (directory / "lib" / "source.rb").write_text((directory / "table.rb").read_text())
    for handler, expected in {
        "table.positional": "called",
        "table.InClass.call_me": "class 1",
        "table.Deep::Inner.call_me": "deep 1",
        "lib/source.Deep::Inner.call_me": "deep 1",
        "lib/source.positional": "called",
    }.items():
        assert json.loads(_run(directory, handler, [1]).posted[0].body) == expected


_ERRORS = {
    "raises": ("Function<CustomError>", "thrown"),
    "text": ("Function<RuntimeError>", "only text"),
    "argument": ("Function<ArgumentError>", "first\nsecond"),
    "deep": ("Function<CustomError>", "from below"),
    "unicode": ("Function<RuntimeError>", "Grüße"),
    "binary": ("Function<RuntimeError>", "\ufffd\ufffd"),
    "marshal": ("Function<CustomError>", "no JSON of me"),
    "throw": ("Function<UncaughtThrowError>", "uncaught throw :nobody"),
}
# The header names those only that are not the function's own.
_HEADERS = {"argument": "Function<ArgumentError>"}


def test_errors_have_the_shape_of_the_official_runtime(tmp_path: Path) -> None:
    """errorMessage, errorType, stackTrace in this order; the same in the log, as one record; the process goes on."""
    directory = _table(tmp_path)
    ran = _run(directory, "table.handler", [{"do": name} for name in _ERRORS])
    assert len(ran.posted) == len(_ERRORS)
    lines = ran.output.splitlines(keepends=False) if "\r" not in ran.output else ran.output.split("\n")
    for index, (name, (kind, message)) in enumerate(_ERRORS.items()):
        posted = ran.posted[index]
        payload = json.loads(posted.body)
        assert posted.path == f"invocation/request-{index}/error"
        assert list(payload) == ["errorMessage", "errorType", "stackTrace"]
        assert (payload["errorType"], payload["errorMessage"]) == (kind, message)
        assert posted.headers["lambda-runtime-function-error-type"] == _HEADERS.get(name, "Function<UserException>")
        assert payload["stackTrace"], name
        assert all("lambent_runtime" not in frame for frame in payload["stackTrace"]), payload["stackTrace"]
        cause = json.loads(posted.headers["lambda-runtime-function-xray-error-cause"])
        assert cause["working_directory"] == str(directory)
        assert cause["exceptions"][0]["type"] == kind
        assert cause["exceptions"][0]["stack"][0].keys() == {"path", "line", "label"}
        assert lines[index * 2] == "Error raised from handler method"
        assert json.loads(lines[index * 2 + 1].replace("\r", "\n")) == payload


def test_the_stack_is_that_of_the_functions_code(tmp_path: Path) -> None:
    """It begins where the exception was raised and ends with the handler."""
    directory = _task(tmp_path, {"f.rb": "def inner\n  raise 'x'\nend\ndef handler(event:, context:)\n  inner\nend\n"})
    trace = json.loads(_run(directory, "f.handler", [{}]).posted[0].body)["stackTrace"]
    assert trace[0].startswith(f"{directory}/f.rb:2:in ")
    assert trace[1].startswith(f"{directory}/f.rb:5:in ")
    assert len(trace) == 2


@pytest.mark.parametrize(
    ("do", "kind"),
    [
        ("name", "NameError"),
        ("method", "NoMethodError"),
        ("overflow", "SystemStackError"),
        ("exit", "SystemExit"),
        ("at_exit", "NameError"),
    ],
)
def test_what_a_process_does_not_survive(tmp_path: Path, do: str, kind: str) -> None:
    """The error is answered, then the process ends with AWS's status; hooks run."""
    ran = _run(_table(tmp_path), "table.handler", [{"do": do}, {"do": "nothing"}])
    assert len(ran.posted) == 1
    payload = json.loads(ran.posted[0].body)
    assert payload["errorType"] == f"Function<{kind}>"
    assert ran.posted[0].headers["lambda-runtime-function-error-type"] == f"Function<{kind}>"
    assert ran.output.startswith("Critical exception from handler\n")
    assert ran.code == 255
    assert ("last words" in ran.output) is (do == "at_exit")


def test_an_exit_without_words(tmp_path: Path) -> None:
    """Nothing is posted; the platform reports the exit."""
    ran = _run(_table(tmp_path), "table.handler", [{"do": "exit!"}])
    assert (ran.posted, ran.code) == ([], 7)


@pytest.mark.parametrize(
    ("files", "handler", "kind", "text"),
    [
        ({}, "function.handler", "LoadError", "cannot load such file -- function"),
        ({"f.rb": "require 'no_such_library'\n"}, "f.handler", "LoadError", "cannot load such file -- no_such_library"),
        ({"f.rb": "def x(\n"}, "f.handler", "SyntaxError", "syntax error"),
        ({"f.rb": "raise 'at load'\n"}, "f.handler", "RuntimeError", "at load"),
        ({"f.rb": "exit 3\n"}, "f.handler", "SystemExit", "exit"),
        ({"f.rb": ""}, "f", "ArgumentError", 'Invalid handler ["f"], must be of form FILENAME.METHOD'),
        ({"f.rb": ""}, "a.b.c.d", "ArgumentError", "Invalid handler"),
    ],
    ids=["file", "library", "syntax", "raise", "exit", "one-part", "four-parts"],
)
def test_errors_of_init(tmp_path: Path, files: dict[str, str], handler: str, kind: str, text: str) -> None:
    """Posted to init/error with Init<Class>; the process ends with AWS's status."""
    directory = _task(tmp_path, {"other.txt": "", **files})
    ran = _run(directory, handler, [{}])
    assert [each.path for each in ran.posted] == ["init/error"]
    payload = json.loads(ran.posted[0].body)
    assert payload["errorType"] == f"Init<{kind}>"
    assert text in payload["errorMessage"]
    assert ran.output.startswith("Init error when loading handler \n")
    assert ran.code == 252


def test_a_missing_method_or_class(tmp_path: Path) -> None:
    """Noticed at the call, as on AWS."""
    directory = _table(tmp_path)
    missing = _run(directory, "table.no_such_handler", [{}])
    payload = json.loads(missing.posted[0].body)
    assert payload["errorType"] == "Function<NoMethodError>"
    assert "no_such_handler" in payload["errorMessage"]
    assert "LambdaHandler" in payload["errorMessage"]
    assert missing.code == 255
    payload = json.loads(_run(directory, "table.NoSuchClass.call", [{}]).posted[0].body)
    assert payload["errorType"] == "Function<NameError>"
    assert payload["errorMessage"].startswith("uninitialized constant")


def test_context(tmp_path: Path) -> None:
    """Every member, with and without client context, identity and tenant."""
    client = {"client": {"installation_id": "i"}, "custom": {"a": 1}, "env": {}}
    identity = {"cognitoIdentityId": "c", "cognitoIdentityPoolId": "p"}
    headers = {
        "Lambda-Runtime-Client-Context": json.dumps(client),
        "Lambda-Runtime-Cognito-Identity": json.dumps(identity),
        "Lambda-Runtime-Aws-Tenant-Id": "blue",
    }
    body = b'{"do": "context"}'
    ran = _run(_table(tmp_path), "table.handler", [Event(body, "with", headers), Event(body, "without")])
    full, bare = (json.loads(each.body) for each in ran.posted)
    assert 0 < full.pop("remaining") <= 60_000
    assert full.pop("deadline_ms") > 1_700_000_000_000
    assert full == {
        "aws_request_id": "with",
        "client_context": client,
        "identity": identity,
        "tenant_id": "blue",
        "function_name": "table",
        "function_version": "$LATEST",
        "invoked_function_arn": INVOKED_ARN,
        "log_group_name": "/aws/lambda/table",
        "log_stream_name": "2026/01/01/[$LATEST]0",
        "memory_limit_in_mb": "128",
        "class": "LambdaContext",
    }
    assert (bare["client_context"], bare["identity"], bare["tenant_id"]) == (None, None, None)


def test_what_a_function_finds(tmp_path: Path) -> None:
    """Trace id anew each time, working directory, module path, libraries that AWS loads before it."""
    directory = _table(tmp_path)
    event = {"do": "environment"}
    ran = _run(directory, "table.handler", [event, event], RUBYLIB=f"{directory}:/opt/ruby/lib")
    first, second = (json.loads(each.body) for each in ran.posted)
    assert first["trace"].startswith("Root=1-request-0;")
    assert second["trace"].startswith("Root=1-request-1;")
    assert (first["id"], first["mine"], first["directory"]) == ("request-0", "yes", str(directory))
    assert first["path"][:2] == [str(directory), "/opt/ruby/lib"]
    assert (first["encoding"], first["loaded"]) == ("UTF-8", ["constant", "method"])


@pytest.mark.parametrize("locale", ["POSIX", "en_US.UTF-8", "no_SUCH.UTF-8"])
def test_text_is_utf_8_whatever_the_machine_s_locale(tmp_path: Path, locale: str) -> None:
    """Variables, files and results."""
    code = "def handler(event:, context:)\n  [ENV['MINE'], File.read('text'), event, 'ü']\nend\n"
    directory = _task(tmp_path, {"f.rb": code, "text": "é"})
    ran = _run(directory, "f.handler", ["ß"], LANG=locale, MINE="Grüße")
    assert json.loads(ran.posted[0].body) == ["Grüße", "é", "ß", "ü"]


def test_log_lines(tmp_path: Path) -> None:
    """Output is not held back; loggers write AWS's lines with the request's id, one record a line."""
    ran = _run(_table(tmp_path), "table.handler", [{"do": "puts"}])
    assert "to stdout\n" in ran.output
    assert "to stderr\n" in ran.output
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6} #\d+"
    assert re.search(rf"no line endI, \[{time}\]  INFO request-0 -- : logged\rtwice\n", ran.output), ran.output
    assert re.search(rf"E, \[{time}\] ERROR request-0 -- p: bad\n", ran.output), ran.output


def test_marshallers_of_the_function(tmp_path: Path) -> None:
    """Either may be replaced, as on AWS."""
    code = (
        "module AwsLambda\n  class Marshaller\n"
        "    def self.marshall_request(raw)\n      [raw['content-TYPE'], JSON.parse(raw.body)]\n    end\n"
        "    def self.marshall_response(result)\n      [StringIO.new(result.inspect), 'application/unknown']\n    end\n"
        "  end\nend\ndef handler(event:, context:)\n  event\nend\n"
    )
    ran = _run(_task(tmp_path, {"f.rb": code}), "f.handler", [{"a": 1}])
    assert ran.posted[0].body in (b'["application/json", {"a"=>1}]', b'["application/json", {"a" => 1}]')


def test_sigterm_reaches_the_functions_own_trap(tmp_path: Path) -> None:
    """While it waits for work; without a trap the process ends and its hooks run."""
    for code, expected in (
        ("Signal.trap('TERM') { puts 'trapped'; exit!(0) }\n", "trapped"),
        ("at_exit { puts 'hook' }\n", "hook"),
    ):
        directory = _task(tmp_path, {"f.rb": code + "def handler(event:, context:)\nend\n"})
        with FakeRuntimeApi() as api:
            variables = {"AWS_LAMBDA_RUNTIME_API": api.address, **_variables(directory, "f.handler")}
            process = subprocess.Popen([_RUBY, str(_CLIENT)], env=variables, stdout=subprocess.PIPE, text=True)
            assert api.wait(lambda it: it.waits == 1)
            process.send_signal(signal.SIGTERM)
            assert process.communicate()[0].splitlines() == [expected]


def _wait_as(directory: Path, handler: str, api: FakeRuntimeApi, **more: str) -> subprocess.Popen[bytes]:
    """Start a waiting process and make it the function."""
    ours, theirs = socket.socketpair()
    start = 'exec "$0" "$@" 3<&0 </dev/null'
    process = subprocess.Popen(
        ["/bin/sh", "-c", start, _RUBY, str(_CLIENT)],
        stdin=theirs.fileno(),
        stdout=subprocess.PIPE,
        env={"PATH": "/usr/bin"},
    )
    theirs.close()
    with ours:
        assert ours.recv(64) == b"ready\n"
        variables = {"AWS_LAMBDA_RUNTIME_API": api.address, **_variables(directory, handler), **more}
        ours.sendall(json.dumps({"variables": variables}).encode() + b"\n")
        return process


def test_a_waiting_process_becomes_the_function(tmp_path: Path) -> None:
    """What it finds is what a fresh process finds."""
    directory = _table(tmp_path)
    gem = tmp_path / "gems" / "gems" / "mine-1.0.0" / "lib"
    gem.mkdir(parents=True)
    (gem / "mine.rb").write_text("module Mine\n  VALUE = 7\nend\n")
    (tmp_path / "gems" / "specifications").mkdir()
    (tmp_path / "gems" / "specifications" / "mine-1.0.0.gemspec").write_text(
        "Gem::Specification.new { |s| s.name = 'mine'; s.version = '1.0.0'; s.summary = 's'; s.authors = ['a'] }\n"
    )
    (directory / "uses.rb").write_text("require 'mine'\ndef handler(event:, context:)\n  [Mine::VALUE, $$]\nend\n")
    more = {"RUBYLIB": f"{directory}:/opt/ruby/lib", "GEM_PATH": str(tmp_path / "gems")}
    with FakeRuntimeApi([Event(b'{"do": "environment"}', "request-0")]) as api:
        process = _wait_as(directory, "table.handler", api, **more)
        assert api.wait(lambda it: len(it.posted) == 1)
        waited = json.loads(api.posted[0].body)
        process.kill()
        process.communicate()
    fresh = json.loads(_run(directory, "table.handler", [{"do": "environment"}], **more).posted[0].body)
    assert waited == fresh
    with FakeRuntimeApi([Event(b"{}", "request-0")]) as api:
        process = _wait_as(directory, "uses.handler", api, **more)
        assert api.wait(lambda it: len(it.posted) == 1)
        process.kill()
        output = process.communicate()[0]
        assert json.loads(api.posted[0].body) == [7, process.pid], output


def test_a_gem_that_ruby_has_too_comes_from_the_package(tmp_path: Path) -> None:
    """A waiting process has loaded Ruby's own json; the package's must win, as on AWS."""
    gem = tmp_path / "gems" / "gems" / "json-99.0.0" / "lib"
    gem.mkdir(parents=True)
    code = "module JSON\n  MINE = 'yes'\n  def self.parse(text)\n    text\n  end\nend\n"
    code += "class Object\n  def to_json(*)\n    '\"' + JSON::MINE + '\"'\n  end\nend\n"
    (gem / "json.rb").write_text(code)
    (tmp_path / "gems" / "specifications").mkdir()
    (tmp_path / "gems" / "specifications" / "json-99.0.0.gemspec").write_text(
        "Gem::Specification.new { |s| s.name = 'json'; s.version = '99.0.0'; s.summary = 's'; s.authors = ['a'] }\n"
    )
    directory = _task(tmp_path, {"f.rb": "def handler(event:, context:)\n  event\nend\n"})
    with FakeRuntimeApi([Event(b"{}", "request-0")]) as api:
        process = _wait_as(directory, "f.handler", api, GEM_PATH=str(tmp_path / "gems"))
        assert api.wait(lambda it: len(it.posted) == 1)
        process.kill()
        output = process.communicate()[0]
        assert api.posted[0].body == b'"yes"', output


def test_a_waiting_process_ends_with_its_daemon(tmp_path: Path) -> None:
    """Nobody will ever tell it what to be."""
    ours, theirs = socket.socketpair()
    start = ["/bin/sh", "-c", 'exec "$0" "$@" 3<&0 </dev/null', _RUBY, str(_CLIENT)]
    process = subprocess.Popen(start, stdin=theirs.fileno(), env={"PATH": "/usr/bin"})
    theirs.close()
    assert ours.recv(64) == b"ready\n"
    ours.close()
    assert process.wait(20) == 0


_COMPARED = (
    "echo", "symbols", "nothing", "io", "raises", "text", "argument", "deep", "unicode", "marshal", "cycle", "throw",
    "name", "method", "overflow", "exit", "object",
)  # fmt: skip


@pytest.mark.skipif(not _GEMS.is_dir(), reason="AWS's Ruby client could not be installed")
def test_answers_equal_those_of_the_official_client(tmp_path: Path) -> None:
    """Event by event: path, body without the clients' own frames, error type, exit."""
    directory = _table(tmp_path)
    (client,) = _GEMS.glob("gems/aws_lambda_ric-*/lib")
    official = [
        _RUBY,
        "-E",
        "UTF-8",
        "-I",
        str(client),
        "-r",
        "aws_lambda_ric",
        "-e",
        "AwsLambdaRIC::Bootstrap.new.start",
    ]
    for handler, events in {
        "table.handler": _COMPARED,
        "table.positional": ["echo"],
        "table.InClass.call_me": ["echo"],
        "table.Deep::Inner.call_me": ["echo"],
        "no_such_file.handler": ["echo"],
        "table": ["echo"],
        "a.b.c.d": ["echo"],
    }.items():
        for event in events:
            made = [Event(json.dumps({"do": event, "value": "é"}).encode(), "request-0")]
            variables = _variables(directory, handler, LANG="C.UTF-8")
            ours = run_runtime([_RUBY, str(_CLIENT)], variables, directory, made)
            theirs = run_runtime(official, variables, directory, made)
            assert _seen(ours, directory) == _seen(theirs, directory), (handler, event)


def _seen(ran: Ran, directory: Path) -> list[object]:
    seen: list[object] = [ran.code]
    for posted in ran.posted:
        body = posted.body.decode()
        if posted.path.endswith("error"):
            payload = json.loads(body)
            payload["stackTrace"] = [frame for frame in payload["stackTrace"] if frame.startswith(str(directory))]
            body = re.sub("0x[0-9a-f]+", "0x", json.dumps(payload))
        seen.append((posted.path, body, posted.headers.get("lambda-runtime-function-error-type")))
    return seen
