"""Layers that carry a runtime, a wrapper script or extensions, and what AWS does with each."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import make_zip_bytes
from tests.runtimes.native_programs import FIXTURES, build_c

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.slow

_WAIT = {"Delay": 1, "MaxAttempts": 60}
_WRAPPER = '#!/bin/sh\nexport WRAPPED="$0 $#"\nexec "$@"\n'
_PYTHON = "import os\ndef handler(event, context):\n    return [os.environ['WRAPPED'], os.getpid()]\n"
_NODE = "exports.handler = async () => [process.env.WRAPPED, process.pid];\n"
_RUBY = "def handler(event:, context:)\n  [ENV['WRAPPED'], Process.pid]\nend\n"


def _name() -> str:
    return f"carrying-{uuid.uuid4().hex[:12]}"


def _publish(client: Any, files: Mapping[str, Any]) -> str:
    answer = client.publish_layer_version(LayerName=_name(), Content={"ZipFile": make_zip_bytes(files)})
    return str(answer["LayerVersionArn"])


def _create(client: Any, files: Mapping[str, Any], **members: Any) -> str:
    name = _name()
    client.create_function(
        FunctionName=name,
        Role="arn:aws:iam::000000000000:role/test",
        Code={"ZipFile": make_zip_bytes(files)},
        **{"Handler": "f.handler", "Timeout": 20, "MemorySize": 512, **members},
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=_WAIT)
    return name


def _invoke(client: Any, name: str, event: object = None) -> tuple[Any, str | None]:
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event))
    return json.loads(answer["Payload"].read()), answer.get("FunctionError")


def _need(runtime: str) -> None:
    for prefix, program in (("nodejs", "node"), ("ruby", "ruby")):
        if runtime.startswith(prefix) and shutil.which(program) is None:
            pytest.skip(f"no {program} on this machine")


@pytest.mark.parametrize(
    ("runtime", "file", "code"),
    [
        ("python3.12", "f.py", _PYTHON),
        ("python3.8", "f.py", _PYTHON),
        ("nodejs20.x", "f.js", _NODE),
        ("ruby3.3", "f.rb", _RUBY),
    ],
)
def test_a_wrapper_script_starts_the_runtime(lambda_client: Any, runtime: str, file: str, code: str) -> None:
    """It is called with the runtime's own command line and becomes the runtime; so again after a reset."""
    _need(runtime)
    layer = _publish(lambda_client, {"wrappers/start": (_WRAPPER, 0o755)})
    variables = {"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrappers/start"}}
    name = _create(lambda_client, {file: code}, Runtime=runtime, Layers=[layer], Environment=variables)
    (wrapped, pid), error = _invoke(lambda_client, name)
    assert error is None
    said, count = wrapped.split()
    assert said == "/opt/wrappers/start"
    assert int(count) >= 2
    assert _invoke(lambda_client, name)[0][1] == pid, "the wrapper became the runtime and stays"


@pytest.mark.skipif(shutil.which("javac") is None, reason="no Java compiler")
def test_a_wrapper_script_starts_java(lambda_client: Any, tmp_path: Path) -> None:
    """As for the other managed runtimes."""
    source = tmp_path / "F.java"
    source.write_text('public class F { public String handle() { return System.getenv("WRAPPED"); } }\n')
    subprocess.run(
        ["javac", "--release", "8", "-nowarn", "-d", str(tmp_path), str(source)], check=True, capture_output=True
    )
    layer = _publish(lambda_client, {"wrappers/start": (_WRAPPER, 0o755)})
    variables = {"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrappers/start"}}
    files = {"F.class": (tmp_path / "F.class").read_bytes()}
    name = _create(lambda_client, files, Runtime="java17", Handler="F::handle", Layers=[layer], Environment=variables)
    said, error = _invoke(lambda_client, name)
    assert error is None, said
    assert said.startswith("/opt/wrappers/start ")


@pytest.mark.parametrize(
    ("files", "status"),
    [({"other": "x"}, 127), ({"wrappers/start": (_WRAPPER, 0o644)}, 126)],
    ids=["missing", "not-executable"],
)
def test_a_wrapper_script_that_cannot_be_started(lambda_client: Any, files: dict[str, Any], status: int) -> None:
    """The runtime's own program ends with the shell's status for it, as on AWS."""
    layer = _publish(lambda_client, files)
    variables = {"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrappers/start"}}
    name = _create(lambda_client, {"f.py": _PYTHON}, Runtime="python3.12", Layers=[layer], Environment=variables)
    payload, error = _invoke(lambda_client, name)
    assert (payload["errorType"], error) == ("Runtime.ExitError", "Unhandled")
    assert payload["errorMessage"].endswith(f"Error: Runtime exited with error: exit status {status}")


_BOOTSTRAP = "#!/usr/bin/env python3\nimport sys\nsys.path.insert(0, '/opt/lib')\nimport runtime\nruntime.run('{by}')\n"
_RUNTIME = (
    "import json, os, urllib.request\n"
    "API = 'http://' + os.environ['AWS_LAMBDA_RUNTIME_API'] + '/2018-06-01/runtime/invocation/'\n"
    "def run(by):\n"
    "    while True:\n"
    "        with urllib.request.urlopen(API + 'next') as answer:\n"
    "            event = json.load(answer)\n"
    "            identity = answer.headers['Lambda-Runtime-Aws-Request-Id']\n"
    "        said = {'by': by, 'event': event, 'wrapped': 'WRAPPED' in os.environ, 'handler': os.environ['_HANDLER']}\n"
    "        body = json.dumps(said).encode()\n"
    "        urllib.request.urlopen(API + identity + '/response', data=body).close()\n"
)


@pytest.mark.parametrize("runtime", ["provided", "provided.al2", "provided.al2023"])
def test_a_layer_carries_the_runtime(lambda_client: Any, runtime: str) -> None:
    """Bootstrap and what it needs come from the layer; a wrapper's variable is nothing to a custom runtime."""
    bootstrap = _BOOTSTRAP.replace("{by}", "layer")
    layer = _publish(lambda_client, {"bootstrap": (bootstrap, 0o755), "lib/runtime.py": _RUNTIME})
    wrapper = _publish(lambda_client, {"start": (_WRAPPER, 0o755)})
    variables = {"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/start"}}
    name = _create(
        lambda_client, {"f.txt": "x"}, Runtime=runtime, Layers=[layer, wrapper], Environment=variables, Handler="x.y"
    )
    said, error = _invoke(lambda_client, name, {"a": 1})
    assert error is None, said
    assert said == {"by": "layer", "event": {"a": 1}, "wrapped": False, "handler": "x.y"}


def test_the_package_s_bootstrap_wins_and_a_later_layer_s_after_it(lambda_client: Any) -> None:
    """/var/task/bootstrap before /opt/bootstrap; of two layers the later one's file is there."""
    layers = [
        _publish(
            lambda_client,
            {"bootstrap": (_BOOTSTRAP.replace("{by}", by), 0o755), "lib/runtime.py": _RUNTIME},
        )
        for by in ("first", "second")
    ]
    name = _create(lambda_client, {"f.txt": "x"}, Runtime="provided.al2023", Layers=layers)
    assert _invoke(lambda_client, name)[0]["by"] == "second"
    own = {"bootstrap": (_BOOTSTRAP.replace("{by}", "package"), 0o755)}
    name = _create(lambda_client, own, Runtime="provided.al2023", Layers=layers)
    assert _invoke(lambda_client, name)[0]["by"] == "package"


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_a_static_runtime_in_a_layer(lambda_client: Any, tmp_path: Path) -> None:
    """A compiled bootstrap is carried like a script."""
    program = build_c(FIXTURES / "native" / "bootstrap.c", tmp_path / "bootstrap").read_bytes()
    layer = _publish(lambda_client, {"bootstrap": (program, 0o755)})
    name = _create(lambda_client, {"f.txt": "x"}, Runtime="provided.al2023", Layers=[layer])
    assert _invoke(lambda_client, name, "here")[0]["by"] == ["/opt/bootstrap"]


_EXTENSION = """#!/usr/bin/env python3
import json, os, sys, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension/"
name = os.path.basename(sys.argv[0])
body = json.dumps({"events": ["INVOKE"]}).encode()
register = urllib.request.Request(api + "register", data=body, headers={"Lambda-Extension-Name": name})
with urllib.request.urlopen(register) as answer:
    identity = answer.headers["Lambda-Extension-Identifier"]
open("/tmp/" + name, "w").write(sys.argv[0])
while True:
    request = urllib.request.Request(api + "event/next", headers={"Lambda-Extension-Identifier": identity})
    urllib.request.urlopen(request).read()
"""


_READS = {
    "python3.12": (
        "f.py",
        "import os\ndef handler(event, context):\n"
        "    return {name: open('/tmp/' + name).read() for name in os.listdir('/opt/extensions')}\n",
    ),
    "nodejs20.x": (
        "f.js",
        "const fs = require('fs');\nexports.handler = async () => Object.fromEntries(\n"
        "  fs.readdirSync('/opt/extensions').map((name) => [name, fs.readFileSync('/tmp/' + name, 'utf8')]));\n",
    ),
    "ruby3.3": (
        "f.rb",
        "def handler(**)\n  Dir.children('/opt/extensions').to_h { |name| [name, File.read('/tmp/' + name)] }\nend\n",
    ),
}


@pytest.mark.parametrize("runtime", list(_READS))
def test_extensions_of_layers_run_beside_the_function(lambda_client: Any, runtime: str) -> None:
    """Each layer's files in extensions/ lie together in /opt/extensions; all register before it runs."""
    _need(runtime)
    layers = [_publish(lambda_client, {f"extensions/{name}": (_EXTENSION, 0o755)}) for name in ("one", "two")]
    file, code = _READS[runtime]
    name = _create(lambda_client, {file: code}, Runtime=runtime, Layers=layers)
    expected = {"one": "/opt/extensions/one", "two": "/opt/extensions/two"}
    assert _invoke(lambda_client, name) == (expected, None)
