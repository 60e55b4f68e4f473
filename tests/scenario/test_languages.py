"""Functions in Ruby, Go, Rust, C and C++ as a user deploys them; a kind of package for each way in.

Java's are in test_java.py, Python's and Node.js's all over these tests.
"""

from __future__ import annotations

import base64
import json
import shutil
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import make_zip_bytes
from tests.runtimes.native_programs import FIXTURES, build_c, build_go

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = [pytest.mark.long, pytest.mark.slow]

_WAIT = {"Delay": 1, "MaxAttempts": 60}
_HAS_RUBY = shutil.which("ruby") is not None


class Deployed:
    """One function; calling it invokes it."""

    def __init__(self, client: Any, files: Mapping[str, Any], **configuration: Any) -> None:
        self._client = client
        self.name = f"languages-{uuid.uuid4().hex[:12]}"
        client.create_function(
            FunctionName=self.name,
            Role="arn:aws:iam::000000000000:role/test",
            Code={"ZipFile": make_zip_bytes(files)},
            **{"Handler": "f.handler", "Timeout": 20, "MemorySize": 512, **configuration},
        )
        client.get_waiter("function_active_v2").wait(FunctionName=self.name, WaiterConfig=_WAIT)

    def __call__(self, event: object, **members: Any) -> tuple[Any, str | None, str]:
        """Return payload, function error and log."""
        answer = self._client.invoke(FunctionName=self.name, Payload=json.dumps(event), LogType="Tail", **members)
        log = base64.b64decode(answer["LogResult"]).decode()
        return json.loads(answer["Payload"].read()), answer.get("FunctionError"), log


_RUBY = """
require 'logger'
LOG = Logger.new($stdout)
def handler(event:, context:)
  case event
  when 'raise' then raise ArgumentError, 'as asked'
  when 'name' then no_such_name
  when 'exit' then exit!(4)
  when 'what'
    LOG.info('here')
    { id: context.aws_request_id, name: context.function_name, left: context.get_remaining_time_in_millis,
      home: Dir.pwd, user: Process.uid, lib: ENV['RUBYLIB'], gems: ENV['GEM_PATH'], seed: rand(1 << 60) }
  else event
  end
end
"""


@pytest.mark.skipif(not _HAS_RUBY, reason="no ruby on this machine")
@pytest.mark.parametrize("runtime", ["ruby2.7", "ruby3.2", "ruby3.3", "ruby3.4"])
def test_ruby(lambda_client: Any, runtime: str) -> None:
    """Every identifier: events of every kind, errors, a process that ends, and what it finds around it."""
    call = Deployed(lambda_client, {"f.rb": _RUBY}, Runtime=runtime)
    for event in ({"hello": "'\" 🥳 {[}}[([]))"}, True, None, [1, 2], 1, {"hello": "obi wan!" * 131_072 * 5}):
        assert call(event)[:2] == (event, None)
    what, _, log = call("what")
    version = runtime.removeprefix("ruby")
    assert what["gems"] == f"/var/task/vendor/bundle/ruby/{version}.0:/opt/ruby/gems/{version}.0"
    assert what["lib"] == "/var/task:/var/runtime/lib:/opt/ruby/lib"
    assert (what["name"], what["home"], what["user"]) == (call.name, "/var/task", 993)
    assert 0 < what["left"] <= 20_000
    assert f"INFO {what['id']} -- : here\n" in log
    payload, error, log = call("raise")
    assert error == "Unhandled"
    assert payload["errorMessage"] == "as asked"
    assert payload["errorType"] == "Function<ArgumentError>"
    assert payload["stackTrace"][0].startswith("/var/task/f.rb:6:in ")
    assert len(payload["stackTrace"]) == 1
    assert "Error raised from handler method\n" in log
    payload, error, log = call("name")
    assert (payload["errorType"], error) == ("Function<NameError>", "Unhandled")
    assert "Critical exception from handler\n" in log
    assert call("after")[0] == "after", "a new process answers"
    payload, error, _ = call("exit")
    assert (payload["errorType"], error) == ("Runtime.ExitError", "Unhandled")
    assert payload["errorMessage"].endswith("Error: Runtime exited with error: exit status 4")
    assert call("after")[0] == "after"


_RUBY_FAULTS = """
def handler(event:, context:)
  case event
  when 'long' then 'x' * 7_000_000
  when 'memory' then Array.new(400) { 'x' * 1_048_576 }.size
  when 'sleep' then sleep
  when 'signal' then Process.kill(:SEGV, Process.pid); sleep
  when 'thread' then Thread.new { raise 'nobody sees this' }.join
  when 'fork' then Process.wait2(fork { exit!(3) })[1].exitstatus
  when 'break' then $stdout.write('x' * 100_000)
  else event
  end
end
"""


@pytest.mark.skipif(not _HAS_RUBY, reason="no ruby on this machine")
def test_ruby_that_goes_wrong(lambda_client: Any) -> None:
    """Too much, too long, too dead: told in the platform's words, and the next invocation is answered."""
    call = Deployed(lambda_client, {"f.rb": _RUBY_FAULTS}, Runtime="ruby3.3", MemorySize=256, Timeout=3)
    for event, kind in {
        "long": "Function.ResponseSizeTooLarge",
        "memory": "Runtime.OutOfMemory",
        "sleep": "Sandbox.Timedout",
        "signal": "Runtime.ExitError",
        "thread": "Function<RuntimeError>",
    }.items():
        payload, error, _ = call(event)
        assert (payload["errorType"], error) == (kind, "Unhandled"), payload
        assert call("after")[:2] == ("after", None), event
    assert call("fork")[0] == 3
    assert call("break")[0] == 100_000


@pytest.mark.skipif(not _HAS_RUBY, reason="no ruby on this machine")
def test_waiting_ruby_processes_share_no_randomness(lambda_client: Any) -> None:
    """Each environment has a process of its own, seeded anew."""
    seeds = {Deployed(lambda_client, {"f.rb": _RUBY}, Runtime="ruby3.3")("what")[0]["seed"] for _ in range(3)}
    assert len(seeds) == 3


@pytest.mark.skipif(not _HAS_RUBY, reason="no ruby on this machine")
@pytest.mark.parametrize(
    ("files", "handler", "kind", "text"),
    [
        ({"f.rb": _RUBY}, "missing.handler", "Init<LoadError>", "cannot load such file -- missing"),
        ({"f.rb": "def x(\n"}, "f.handler", "Init<SyntaxError>", "syntax error"),
        ({"f.rb": "raise 'at load'\n"}, "f.handler", "Init<RuntimeError>", "at load"),
        ({"f.rb": _RUBY}, "f.gone", "Function<NoMethodError>", "undefined method"),
        ({"f.rb": _RUBY}, "f", "Init<ArgumentError>", "Invalid handler"),
    ],
    ids=["file", "syntax", "raise", "method", "form"],
)
def test_ruby_that_does_not_load(lambda_client: Any, files: dict[str, str], handler: str, kind: str, text: str) -> None:
    """The caller gets what AWS's runtime says of it."""
    payload, error, _ = Deployed(lambda_client, files, Runtime="ruby3.3", Handler=handler)(1)
    assert (payload["errorType"], error) == (kind, "Unhandled")
    assert text in payload["errorMessage"]


@pytest.mark.skipif(not _HAS_RUBY, reason="no ruby on this machine")
def test_ruby_gems_of_package_and_layer(lambda_client: Any) -> None:
    """`bundle install` into vendor/bundle, gems and libraries in a layer: all are required by name alone."""

    def gem(root: str, name: str) -> dict[str, str]:
        text = (
            f"Gem::Specification.new {{ |s| s.name = '{name}'; s.version = '1.0.0'; s.summary = ''; s.authors = [] }}"
        )
        return {
            f"{root}/specifications/{name}-1.0.0.gemspec": text,
            f"{root}/gems/{name}-1.0.0/lib/{name}.rb": f"{name.capitalize()} = '{name}'\n",
        }

    layer = {**gem("ruby/gems/3.3.0", "layered"), "ruby/lib/plain.rb": "Plain = 'plain'\n"}
    arn = lambda_client.publish_layer_version(
        LayerName=f"gems-{uuid.uuid4().hex[:8]}", Content={"ZipFile": make_zip_bytes(layer)}
    )["LayerVersionArn"]
    code = "%w[vendored layered plain].each { |n| require n }\ndef handler(**)\n  [Vendored, Layered, Plain]\nend\n"
    files = {"f.rb": code, **gem("vendor/bundle/ruby/3.3.0", "vendored")}
    call = Deployed(lambda_client, files, Runtime="ruby3.3", Layers=[arn])
    assert call(1)[0] == ["vendored", "layered", "plain"]


@pytest.fixture(scope="module")
def old_go(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A program with aws-lambda-go 1.13.3, of 2019."""
    return build_go(FIXTURES / "go_old", tmp_path_factory.mktemp("go") / "main").read_bytes()


@pytest.mark.skipif(shutil.which("go") is None, reason="no go on this machine")
def test_go_programs_that_know_no_runtime_api(lambda_client: Any, old_go: bytes) -> None:
    """Old libraries serve net/rpc on a port, and only go1.x ever spoke to them so."""
    assert b"AWS_LAMBDA_RUNTIME_API" not in old_go
    call = Deployed(lambda_client, {"main": (old_go, 0o755)}, Runtime="go1.x", Handler="main")
    context = base64.b64encode(json.dumps({"client": {"installation_id": "phone"}}).encode()).decode()
    for text in ("Grüße", "x" * 2_000_000):
        payload, error, log = call({"do": "echo", "text": text}, ClientContext=context)
        assert error is None, payload
        assert (payload["text"], payload["installed"], payload["api"]) == (text, "phone", True)
        assert payload["arn"].endswith(call.name)
        assert payload["trace"].startswith("Root=1-")
        assert 15 <= payload["seconds"] <= 20
        assert f"START RequestId: {payload['id']} " in log
        assert "doing echo\n" in log
    assert call({"do": "error"})[:2] == ({"errorMessage": "as asked", "errorType": "errorString"}, "Unhandled")
    assert call({"do": "own error"})[0]["errorType"] == "failure"
    payload, error, _ = call({"do": "panic"})
    assert (payload["errorMessage"], payload["errorType"], error) == ("deep trouble", "string", "Unhandled")
    assert "handle" in [frame["label"] for frame in payload["stackTrace"]]
    assert call({"do": "echo", "text": "after"})[0]["text"] == "after"
    assert call({"do": "exit"})[0]["errorMessage"].endswith("Error: Runtime exited with error: exit status 7")
    assert call({"do": "echo", "text": "after"})[0]["text"] == "after"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"other": "x"}, "no such file or directory"),
        ({"main": ("x", 0o644)}, "permission denied"),
        ({"main": ("no program", 0o755)}, "exec format error"),
        ({"main/x": "a folder"}, "permission denied"),
    ],
    ids=["missing", "mode", "text", "folder"],
)
def test_go_handlers_that_name_no_program(lambda_client: Any, files: dict[str, Any], reason: str) -> None:
    """Told at each invocation, in the words of AWS's go1.x."""
    call = Deployed(lambda_client, files, Runtime="go1.x", Handler="main")
    for _ in range(2):
        payload, error, _ = call({})
        expected = {"errorMessage": f"fork/exec /var/task/main: {reason}", "errorType": "PathError"}
        assert (payload, error) == (expected, "Unhandled")


@pytest.mark.skipif(shutil.which("cc") is None or shutil.which("c++") is None, reason="no C compiler")
@pytest.mark.parametrize("source", ["bootstrap.c", "bootstrap.cpp"])
@pytest.mark.parametrize("runtime", ["provided", "provided.al2", "provided.al2023"])
def test_static_programs(lambda_client: Any, tmp_path: Path, runtime: str, source: str) -> None:
    """A bootstrap in C and one in C++ that need nothing of the machine."""
    program = build_c(FIXTURES / "native" / source, tmp_path / "bootstrap").read_bytes()
    call = Deployed(lambda_client, {"bootstrap": (program, 0o755)}, Runtime=runtime, Handler="any")
    for event in ({"a": [1, None, "é"]}, "text", "x" * 2_000_000):
        payload, error, _ = call(event)
        assert (payload["echo"], error) == (event, None)
    payload, error, _ = call("fail")
    assert (payload["errorMessage"], error) == ("as asked", "Unhandled")
    if source == "bootstrap.c":
        assert call("exit")[0]["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert call(1)[0]["echo"] == 1
