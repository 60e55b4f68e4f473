"""Our Python runtime against AWS's own: the same posts and the same log for the same events."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.runtimes.fake_runtime_api import Event, Posted, Ran, run_runtime

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FIXTURES = Path(__file__).parent / "fixtures" / "python"
_CLIENT = Path(__file__).parents[2] / "src/lambent/environments/runtimes/clients/python"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")
_ERROR_TYPE = "lambda-runtime-function-error-type"

_VALUES = re.findall(r'^    "(\w+)":', (_FIXTURES / "table.py").read_text(), re.MULTILINE)
_CLIENT_CONTEXT = {
    "client": {"installation_id": "i", "app_title": "t", "app_package_name": "p"},
    "custom": {"a": "b"},
    "env": {"locale": "de"},
    "w3c": {"traceparent": "00-1", "baggage": 3, "other": "x"},
}

_EVENTS: tuple[tuple[bytes, Mapping[str, str]], ...] = (
    *((json.dumps({"do": "value", "name": name}).encode(), {}) for name in _VALUES),
    *(
        (json.dumps({"do": "echo", "value": each}, ensure_ascii=False).encode(), {})
        for each in (1, "é\u2028", [1.0, 1e300, -0.0, 10**25], {"a": {"ü": None}}, "\U0001f600")
    ),
    (b'{"do": "echo", "value": 1.10000000000000000001}', {}),
    (b'{"do": "echo", "value": {"a": 1, "a": 2}}', {}),
    (b'{"do": "echo", "value": NaN}', {}),
    (b"not json", {}),
    (b"", {}),
    *(
        (json.dumps({"do": name}).encode(), {})
        for name in [
            "raise_plain",
            "raise_empty",
            "raise_odd",
            "raise_key",
            "raise_deep",
            "raise_chained",
            "raise_long",
            "raise_unicode",
            "raise_assert",
            "raise_group",
            "raise_recursion",
            "trace_variable",
            "log_all",
            "log_bad",
            "logging_state",
            "partial_line",
            "streams",
            "names",
            "no_such",
            "described",
        ]
    ),
    (b'{"do": "described"}', {"Lambda-Runtime-Client-Context": json.dumps(_CLIENT_CONTEXT)}),
    (b'{"do": "described"}', {"Lambda-Runtime-Client-Context": '{"client": null}'}),
    (b'{"do": "described"}', {"Lambda-Runtime-Client-Context": "{}"}),
    (b'{"do": "described"}', {"Lambda-Runtime-Client-Context": "{broken"}),
    (
        b'{"do": "described"}',
        {"Lambda-Runtime-Cognito-Identity": '{"cognitoIdentityId": "id", "cognitoIdentityPoolId": "pool"}'},
    ),
    (b'{"do": "described"}', {"Lambda-Runtime-Aws-Tenant-Id": "tenant-1"}),
    (b'{"do": "log_all"}', {"Lambda-Runtime-Aws-Tenant-Id": "tenant-1"}),
    (b"raw text", {"Content-Type": "text/plain"}),
)


def _events() -> list[Event]:
    return [Event(body, f"request-{index}", headers) for index, (body, headers) in enumerate(_EVENTS)]


def _variables(**more: str) -> dict[str, str]:
    return {
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
        "AWS_LAMBDA_FUNCTION_NAME": "table",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/table",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]0",
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


def _both(directory: Path, handler: str, variables: Mapping[str, str], events: Sequence[Event]) -> tuple[Ran, Ran]:
    theirs = run_runtime([sys.executable, "-m", "awslambdaric", handler], variables, directory, events)
    own = {**variables, "_HANDLER": handler, "LAMBDA_TASK_ROOT": str(directory)}
    ours = run_runtime([sys.executable, str(_CLIENT / "lambent_runtime_main.py")], own, directory, events)
    return theirs, ours


def _comparable(posted: Posted) -> dict[str, object]:
    # Theirs sends an error's type for Init only, and there no content type.
    compared = _ERROR_TYPE if posted.path == "init/error" else "content-type"
    headers: dict[str, object] = {compared: posted.headers.get(compared)}
    cause = posted.headers.get("lambda-runtime-function-xray-error-cause")
    if cause and len(cause) <= 32_768:  # Ours leaves out what is longer: the door refuses such heads.
        parsed = json.loads(cause)
        parsed["paths"] = sorted(parsed["paths"])
        headers["cause"] = parsed
    return {"path": posted.path, "body": posted.body.decode("utf-8", "backslashreplace"), **headers}


def _log(ran: Ran) -> list[str]:
    return _TIME.sub("TIME", ran.output.replace("\r", "\n")).splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.12"},
        {"AWS_LAMBDA_LOG_FORMAT": "JSON"},
        {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "ERROR"},
        {"AWS_LAMBDA_LOG_FORMAT": "Text", "AWS_LAMBDA_LOG_LEVEL": "TRACE"},
    ],
    ids=["text", "unescaped", "json", "json-error", "text-trace"],
)
def test_answers_and_log_equal_those_of_the_official_runtime(tmp_path: Path, more: dict[str, str]) -> None:
    """Results, errors, stack traces, X-Ray causes, context texts, log lines: one table, two runtimes."""
    directory = tmp_path / "task"
    shutil.copytree(_FIXTURES, directory)
    events = _events()
    theirs, ours = _both(directory, "table.handler", _variables(**more), events)
    assert len(theirs.posted) == len(events)
    assert len(ours.posted) == len(events)
    for event, their, our in zip(events, theirs.posted, ours.posted, strict=True):
        assert _comparable(our) == _comparable(their), event.body
    assert _log(ours) == _log(theirs)


_BROKEN = {
    "missing": ({}, "nowhere.handler"),
    "import": ({"index.py": "import no_such_module\n"}, "index.handler"),
    "import-inside": ({"index.py": "import other\n", "other.py": "from os import nothing\n"}, "index.handler"),
    "raises": ({"index.py": "def f():\n    raise ValueError('at import')\nf()\n"}, "index.handler"),
    "raises-odd": ({"index.py": "raise RuntimeError('ü\\nü')\n"}, "index.handler"),
    "syntax": ({"index.py": "def handler(:\n"}, "index.handler"),
    "indent": ({"index.py": "def handler():\nreturn 1\n"}, "index.handler"),
    "no-function": ({"index.py": "other = 1\n"}, "index.handler"),
    "malformed": ({"index.py": "handler = print\n"}, "index"),
    "empty-module": ({"index.py": "handler = print\n"}, ".handler"),
    "builtin": ({"sys.py": "handler = print\n"}, "sys.handler"),
    "nested": ({"a/b.py": "import c.d\n"}, "a/b.handler"),
    "exit": ({"index.py": "import sys\nprint('bye')\nsys.exit(3)\n"}, "index.handler"),
    "exit-text": ({"index.py": "raise SystemExit('reason')\n"}, "index.handler"),
    "interrupt": ({"index.py": "raise KeyboardInterrupt\n"}, "index.handler"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(_BROKEN))
def test_init_errors_equal_those_of_the_official_runtime(tmp_path: Path, name: str) -> None:
    """A function that cannot be loaded: the same report, the same log, the same exit code."""
    files, handler = _BROKEN[name]
    directory = tmp_path / "task"
    directory.mkdir()
    for path, text in files.items():
        (directory / path).parent.mkdir(exist_ok=True)
        (directory / path).write_text(text)
    theirs, ours = _both(directory, handler, _variables(), [])
    assert [_comparable(each) for each in ours.posted] == [_comparable(each) for each in theirs.posted]
    assert ours.code == theirs.code
    if name != "interrupt":  # Its trace ends in the runtime's own frames.
        assert _log(ours) == _log(theirs)


@pytest.mark.slow
@pytest.mark.parametrize(("version", "has_it"), [("3.8", False), ("3.9", True)])
def test_errors_of_old_runtimes_have_no_request_id(tmp_path: Path, version: str, has_it: bool) -> None:
    """Recorded on AWS; the official client of today has it in all versions."""
    (tmp_path / "index.py").write_text("def handler(event, context):\n    raise ValueError('no')\n")
    variables = _variables(AWS_EXECUTION_ENV=f"AWS_Lambda_python{version}")
    _, ours = _both(tmp_path, "index.handler", variables, [Event(b"{}", "request-0", {})])
    assert ("requestId" in json.loads(ours.posted[0].body)) is has_it


@pytest.mark.slow
def test_exit_in_a_handler_ends_the_process_as_it_does_there(tmp_path: Path) -> None:
    """sys.exit answers nothing; the platform sees the exit code."""
    directory = tmp_path / "task"
    directory.mkdir()
    (directory / "index.py").write_text("import sys\ndef handler(event, context):\n    sys.exit(event)\n")
    for body in (b"0", b"7"):
        theirs, ours = _both(directory, "index.handler", _variables(), [Event(body, "a")])
        assert (ours.posted, ours.code, ours.output) == (theirs.posted, theirs.code, theirs.output)
