"""The Python runtime's process: forked from a zygote or started fresh, on every Python of this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lambent.environments.runtimes.interpreters import InterpreterSearch, SearchPlaces
from lambent.environments.sandbox.sandbox import RuntimeFamily
from tests.runtimes.fake_runtime_api import Event, FakeRuntimeApi, run_runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLIENT = Path(__file__).parents[2] / "src/lambent/environments/runtimes/clients/python"
_ZYGOTE = Path(__file__).parent / "fixtures" / "zygote.py"

# Our own modules, and the one below `socket` that the connection needs: no function's code is called so.
_OURS = {"_socket", "lambent_runtime"}


def _pythons() -> list[str]:
    places = SearchPlaces(
        path=os.environ.get("PATH", ""),
        homes=(Path.home(),),
        executables=((RuntimeFamily.PYTHON, Path(sys.executable)),),
    )
    newest: dict[str, str] = {}
    for each in InterpreterSearch(places).find():
        parts = tuple(map(int, each.version.split(".")))
        if each.family is RuntimeFamily.PYTHON and parts >= (3, 8):
            newest.setdefault(f"{parts[0]}.{parts[1]}", each.executable)
    return list(newest.values())


def _task(tmp_path: Path, files: Mapping[str, str]) -> Path:
    directory = tmp_path / "task"
    directory.mkdir()
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def _forked(python: str, directory: Path, api: FakeRuntimeApi, sdk: str = "", **more: str) -> subprocess.Popen[bytes]:
    variables = {
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "LAMBDA_TASK_ROOT": str(directory),
        "_HANDLER": "index.handler",
        **more,
    }
    argv = [python, "-I", "-S", str(_ZYGOTE), str(_CLIENT), json.dumps(variables), sdk]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={}, start_new_session=True)


def _answer(directory: Path, *bodies: object, python: str = sys.executable, sdk: str = "", **more: str) -> list[object]:
    events = [Event(json.dumps(body).encode(), f"request-{index}") for index, body in enumerate(bodies)]
    with FakeRuntimeApi(events) as api:
        process = _forked(python, directory, api, sdk, **more)
        is_done = api.wait(lambda it: len(it.posted) == len(events))
        os.killpg(process.pid, signal.SIGKILL)
        output = process.communicate()[0]
        assert is_done, output
        return [json.loads(each.body) for each in api.posted]


_WHOLE = """
import asyncio, collections, datetime, decimal, logging, os, sys, time
logging.getLogger().setLevel("INFO")
P = collections.namedtuple("P", "x")
async def later():
    return 1
def handler(event, context):
    logging.info("here")
    if event == "raise":
        raise ValueError("x")
    return {
        "event": event, "context": str(context)[:15], "decimal": decimal.Decimal("1.5"), "tuple": P(1),
        "path": sys.path, "directory": os.getcwd(), "zone": time.tzname[0], "argv": sys.argv, "main": __name__,
        "version": list(sys.version_info[:2]), "later": asyncio.run(later()), "exit": callable(exit),
        "remaining": context.get_remaining_time_in_millis() > 0, "trace": os.environ["_X_AMZN_TRACE_ID"],
    }
"""


@pytest.mark.slow
@pytest.mark.parametrize("python", _pythons(), ids=lambda path: Path(path).name)
def test_every_python_runs_the_client(tmp_path: Path, python: str) -> None:
    """A fork of an exercised zygote: path, directory, time zone, marshalling, errors."""
    directory = _task(tmp_path, {"index.py": _WHOLE})
    first, failed, last = _answer(directory, {"a": [1, None]}, "raise", 3, python=python, TZ="Asia/Tokyo")
    assert isinstance(first, dict)
    assert isinstance(failed, dict)
    assert isinstance(last, dict)
    version = ".".join(map(str, first["version"]))
    assert first["path"][:4] == [
        str(directory),
        f"/opt/python/lib/python{version}/site-packages",
        "/opt/python",
        str(_CLIENT),
    ]
    assert not any("site-packages" in entry for entry in first["path"][4:])
    assert (first["event"], first["decimal"], first["tuple"]) == ({"a": [1, None]}, 1.5, {"x": 1})
    assert (first["directory"], first["zone"], first["main"]) == (str(directory), "JST", "index")
    assert (first["later"], first["exit"], first["remaining"]) == (1, True, True)
    assert first["context"] == "LambdaContext(["
    assert first["trace"].startswith("Root=1-request-0;")
    assert (failed["errorType"], failed["errorMessage"]) == ("ValueError", "x")
    assert len(failed["stackTrace"]) == 1
    assert last["event"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("python", _pythons(), ids=lambda path: Path(path).name)
def test_every_python_runs_the_client_fresh(tmp_path: Path, python: str) -> None:
    """Started as a program of its own, with PYTHON* variables that act."""
    directory = _task(tmp_path, {"index.py": "import extra\ndef handler(e, c): return [extra.v, __debug__]\n"})
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "extra.py").write_text("v = 'found'\n")
    variables = {
        "_HANDLER": "index.handler",
        "LAMBDA_TASK_ROOT": str(directory),
        "PYTHONPATH": str(tmp_path / "more"),
        "PYTHONOPTIMIZE": "1",
    }
    ran = run_runtime([python, str(_CLIENT / "lambent_runtime_main.py")], variables, directory, [Event(b"1", "a")])
    assert [json.loads(each.body) for each in ran.posted] == [["found", False]], ran.output


@pytest.mark.slow
def test_the_zygote_loads_nothing_that_the_official_runtime_does_not(tmp_path: Path) -> None:
    """What is loaded before the handler could hide a module of the function's."""
    directory = _task(tmp_path, {"index.py": "def handler(e, c): return 1\n"})
    _answer(directory, 1, LOADED=str(tmp_path / "loaded"))
    bare, loaded = (set(names) for names in json.loads((tmp_path / "loaded").read_text()))
    code = "import sys, awslambdaric.__main__; print('\\n'.join(sys.modules))"
    theirs = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert {"json", "logging", "decimal", "traceback"} <= loaded
    extra = {name.partition(".")[0] for name in loaded - theirs - bare}
    assert {name for name in extra if not name.startswith("lambent_runtime")} <= _OURS


@pytest.mark.slow
def test_the_functions_own_modules_win(tmp_path: Path) -> None:
    """Also over preloaded ones of the same name, package or module; a directory of data hides nothing."""
    files = {
        "decimal.py": "v = 'mine'\n",
        "json/__init__.py": "v = 'mine'\n",
        "json/decoder.py": "v = 'mine too'\n",
        "logging/readme.txt": "no code\n",
        "index.py": "import decimal, json, json.decoder, logging\n"
        "logging.getLogger().warning('works')\n"
        "def handler(e, c): return [decimal.v, json.v, json.decoder.v, logging.__name__, hasattr(logging, 'info')]\n",
    }
    assert _answer(_task(tmp_path, files), 1) == [["mine", "mine", "mine too", "logging", True]]


@pytest.mark.slow
def test_boto3_is_there_and_the_functions_own_wins(tmp_path: Path) -> None:
    """From /var/sdk last in the path, loaded before or not; a package that ships one gets its own."""
    sdk = str(Path(sys.modules["pytest"].__file__ or "").parents[1])
    code = (
        "import boto3, random\ndef handler(e, c): return [boto3.__name__, hasattr(boto3, 'client'), random.random()]\n"
    )
    plain = _task(tmp_path, {"index.py": code})
    results = [_answer(plain, 1, sdk=each, LAMBENT_SDK_DIRECTORY=sdk)[0] for each in ("", sdk, sdk)]
    assert [each[:2] for each in results if isinstance(each, list)] == [["boto3", True]] * 3
    assert len({str(each) for each in results}) == 3
    other = tmp_path / "other"
    other.mkdir()
    own = _task(other, {"index.py": code, "boto3.py": "v = 1\n"})
    assert _answer(own, 1, sdk=sdk, LAMBENT_SDK_DIRECTORY=sdk)[0][:2] == ["boto3", False]  # type: ignore[index]


@pytest.mark.slow
def test_sigterm_reaches_the_functions_handler(tmp_path: Path) -> None:
    """While the runtime waits for work, the function's signal handler runs."""
    directory = _task(
        tmp_path,
        {
            "index.py": "import signal, sys, os\n"
            "def flush(*_):\n    print('flushed'); sys.exit(0)\n"
            "signal.signal(signal.SIGTERM, flush)\n"
            "def handler(e, c): return os.getpid()\n"
        },
    )
    with FakeRuntimeApi([Event(b"1", "a")]) as api:
        process = _forked(sys.executable, directory, api)
        assert api.wait(lambda it: it.waits == 2)
        os.kill(json.loads(api.posted[0].body), signal.SIGTERM)
        output = process.communicate(timeout=20)[0]
    assert (output, process.returncode) == (b"flushed\n", 0)


@pytest.mark.slow
def test_a_result_and_the_next_question_leave_together(tmp_path: Path) -> None:
    """One write a call: what makes it fast."""
    directory = _task(tmp_path, {"index.py": "def handler(e, c): return e\n"})
    received: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    head = b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: a\r\nContent-Length: 1\r\n\r\n1"
    accepted = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            received.append(connection.recv(65_536))
            # Both answers in three odd pieces.
            whole = head + accepted + head
            connection.sendall(whole[:20])
            connection.sendall(whole[20 : len(head)])
            received.append(connection.recv(65_536))
            connection.sendall(whole[len(head) :])
            received.append(connection.recv(65_536))

    server = threading.Thread(target=serve)
    server.start()
    variables = {
        "_HANDLER": "index.handler",
        "LAMBDA_TASK_ROOT": str(directory),
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{listener.getsockname()[1]}",
    }
    process = subprocess.Popen(
        [sys.executable, str(_CLIENT / "lambent_runtime_main.py")], env=variables, stderr=subprocess.PIPE
    )
    server.join(30)
    process.kill()
    process.communicate()
    listener.close()
    assert len(received) == 3
    assert received[0].startswith(b"GET /2018-06-01/runtime/invocation/next ")
    for data in received[1:]:
        post, _, rest = data.partition(b"\r\n\r\n1")
        assert post.startswith(b"POST /2018-06-01/runtime/invocation/a/response ")
        assert rest.startswith(b"GET /2018-06-01/runtime/invocation/next ")


@pytest.mark.slow
def test_answers_in_any_pieces(tmp_path: Path) -> None:
    """However the server's bytes are cut, chunked bodies and interim answers included, every event arrives once."""
    directory = _task(tmp_path, {"index.py": "def handler(e, c): return e\n"})
    count = 60
    accepted = b"HTTP/1.1 202 Accepted\r\nContent-Length: 4\r\n\r\n{}\r\n"
    listener = socket.create_server(("127.0.0.1", 0))
    got: list[bytes] = []

    def event(number: int) -> bytes:
        head = b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: r%d\r\n" % number
        if number % 3 == 0:
            return (
                b"HTTP/1.1 100 Continue\r\n\r\n"
                + head
                + b"Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n1\r\n2\r\n0\r\n\r\n"
            )
        return head + b"Content-Length: 2\r\n\r\n12"

    def serve() -> None:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            got.append(connection.recv(65_536))
            connection.sendall(event(0))
            for number in range(1, count):
                got.append(connection.recv(65_536))
                whole = accepted + event(number)
                connection.sendall(whole[: number * 3])
                connection.sendall(whole[number * 3 :])
            got.append(connection.recv(65_536))

    server = threading.Thread(target=serve)
    server.start()
    variables = {
        "_HANDLER": "index.handler",
        "LAMBDA_TASK_ROOT": str(directory),
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{listener.getsockname()[1]}",
    }
    process = subprocess.Popen([sys.executable, str(_CLIENT / "lambent_runtime_main.py")], env=variables)
    server.join(30)
    process.kill()
    process.wait()
    listener.close()
    assert [data.split(b"invocation/")[1].split(b"/")[0] for data in got[1:]] == [b"r%d" % n for n in range(count)]
    assert all(b"\r\n\r\n12GET " in data for data in got[1:])
