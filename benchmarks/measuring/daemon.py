"""A Lambent server of our own: on a free port, signatures verified, filled with functions, stopped by process id."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from benchmarks.measuring.generator import LoadError
from benchmarks.measuring.signing import Caller

if TYPE_CHECKING:
    from collections.abc import Mapping

START_SECONDS = 30.0
STOP_SECONDS = 60.0
ACTIVE_SECONDS = 60.0
ROLE = "arn:aws:iam::000000000000:role/benchmark"
_LAMBENT = Path(sys.executable).parent / "lambent"


class Creatable(Protocol):
    """What a function is made of."""

    def members(self) -> dict[str, object]:
        """Return CreateFunction's members without the name, as they stand in JSON."""


@dataclass(frozen=True, slots=True)
class Code:
    """A function's runtime, handler and files (name → content; `executables` get the x bits)."""

    runtime: str
    handler: str
    files: Mapping[str, bytes]
    executables: frozenset[str] = frozenset()
    memory_mib: int = 256

    def zip_bytes(self) -> bytes:
        """Return the deployment package."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.files.items():
                entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
                entry.external_attr = (0o100755 if name in self.executables else 0o100644) << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, content)
        return buffer.getvalue()

    def members(self) -> dict[str, object]:
        """Return CreateFunction's members without the name, as they stand in JSON."""
        return {
            "Runtime": self.runtime,
            "Handler": self.handler,
            "Role": ROLE,
            "Timeout": 30,
            "MemorySize": self.memory_mib,
            "Code": {"ZipFile": base64.b64encode(self.zip_bytes()).decode()},
        }


class Daemon:
    """One server at a time on one data directory. `settings` are `--set` flags. Scope: one row or a group of rows."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lambent-bench-"))
        self.folder.chmod(0o755)
        self.data_directory = self.folder / "data"
        self._settings = dict(settings or {})
        self._output = self.folder / "output"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self._keys: dict[str, str] = {}

    @property
    def pid(self) -> int:
        """Process id of the daemon."""
        assert self._process is not None
        return self._process.pid

    @property
    def caller(self) -> Caller:
        """Who signs requests for it."""
        return Caller(self.port, self._keys["AccessKeyId"], self._keys["SecretAccessKey"])

    def start(self, more: Mapping[str, str] | None = None) -> Daemon:
        """Start and return when it is healthy. Raises LoadError."""
        self.launch(more)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/_lambent/health")
                if connection.getresponse().status == 200:
                    return self
            except OSError:
                pass
            time.sleep(0.01)
        raise LoadError(f"the server did not start: {self.tail()}")

    def launch(self, more: Mapping[str, str] | None = None) -> None:
        """Start the process without waiting for anything."""
        self._make_keys()
        settings = {
            "server.port": str(self.port), "data_dir": str(self.data_directory), "auth.mode": "verify",
            **self._settings, **(more or {}),
        }  # fmt: skip
        flags = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [str(_LAMBENT), "serve", *flags],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=_clean_environment(),
            )  # fmt: skip

    def stop(self) -> None:
        """Stop with SIGTERM, by pid."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End it as a crash does, by pid; what it started dies with it or is swept by the next start."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Stop and remove the data directory."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def tail(self) -> str:
        """Return the end of what the server has said."""
        return self._output.read_text(errors="replace")[-2_000:] if self._output.exists() else ""

    def call(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        """Send one signed request and return status, headers and body."""
        return send_raw(self.port, self.caller.request(method, path, body))

    def create(self, name: str, code: Creatable) -> None:
        """Create a function and return when it is active. Raises LoadError."""
        body = json.dumps({"FunctionName": name, **code.members()}).encode()
        status, _, answer = self.call("POST", "/2015-03-31/functions", body)
        if status != 201:
            raise LoadError(f"CreateFunction {name}: {status} {answer[:500]!r}")
        self.wait_active(name)

    def wait_active(self, name: str) -> None:
        """Return when a function is active. Raises LoadError."""
        deadline = time.monotonic() + ACTIVE_SECONDS
        state = ""
        while time.monotonic() < deadline:
            _, _, answer = self.call("GET", f"/2015-03-31/functions/{name}/configuration")
            state = json.loads(answer).get("State", "")
            if state == "Active":
                return
            time.sleep(0.02)
        raise LoadError(f"{name} is not active: {state}")

    def invoke(self, name: str) -> bytes:
        """Invoke once; return the payload. Raises LoadError."""
        status, headers, answer = self.call("POST", f"/2015-03-31/functions/{name}/invocations", b"{}")
        if status != 200 or "x-amz-function-error" in headers:
            raise LoadError(f"Invoke {name}: {status} {answer[:800]!r}")
        return answer

    def _make_keys(self) -> None:
        if self._keys:
            return
        command = [str(_LAMBENT), "keys", "create", "--data-dir", str(self.data_directory)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_clean_environment())
        if done.returncode:
            raise LoadError(f"lambent keys create: {done.stderr or done.stdout}")
        self._keys = json.loads(done.stdout)


def send_raw(port: int, request: bytes, timeout_seconds: float = 60) -> tuple[int, dict[str, str], bytes]:
    """Send request bytes over a new connection; return status, headers with small letters and body."""
    with socket.create_connection(("127.0.0.1", port), timeout_seconds) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("LAMBENT_", "AWS_"))}
