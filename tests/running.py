"""A real server for tests: `.venv/bin/lambent serve` as a process, stopped with SIGTERM, nothing left behind."""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from lambent.environments.sandbox.launcher.outside.network import link_prefix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

START_SECONDS = 30.0
STOP_SECONDS = 45.0
LEAK_SECONDS = 10.0
_EXECUTABLE = Path(sys.executable).parent / "lambent"
_ACCOUNT = "000000000000"


class LambentServer:
    """One running server. `settings` are `--set` flags; `data_dir` is made (and removed) when none is given.

    `executable` is the command to start, the one beside the tests' interpreter unless a test brings another.
    """

    def __init__(
        self, settings: Mapping[str, str] | None = None, data_dir: Path | None = None, arguments: Iterable[str] = ()
    ) -> None:
        self.settings = dict(settings or {})
        self._is_data_dir_ours = data_dir is None
        self.data_dir = data_dir or _data_directory()
        self.port = free_port()
        self.scheme = "http"
        self._arguments = tuple(arguments)
        self.executable = _EXECUTABLE
        self._output = self.data_dir.parent / f"{self.data_dir.name}.output"
        self._is_unswept = False
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> LambentServer:
        """Start the process and return when /_lambent/health says 200."""
        assert self.process is None
        # The embedded services are for the tests that are about them.
        flags = {"server.port": str(self.port), "data_dir": str(self.data_dir), "neighbours.enabled": "false"}
        flags |= self.settings
        command = [str(self.executable), "serve", *self._arguments]
        for name, value in flags.items():
            command += ["--set", f"{name}={value}"]
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=clean_environment()
            )
        self._wait_healthy()
        return self

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the daemon."""
        assert self.process is not None
        return self.process.pid

    def output(self) -> str:
        """What the process has written to standard output and standard error so far, over all its starts."""
        return self._output.read_text(errors="replace")

    def client(
        self, service: str = "lambda", *, region: str = "us-east-1", access_key: str = "test", secret_key: str = "test",
        read_timeout: int = 70,
    ) -> Any:  # fmt: skip
        """Return a boto3 client that speaks to this server, without retries."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=read_timeout),
        )

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body of GET `path`."""
        return self._get(path, timeout=30)

    def stop(self) -> None:
        """Stop with SIGTERM; assert exit status 0 and that nothing is left. Does nothing when stopped already."""
        process, self.process = self.process, None
        if process is None:
            return
        descendants = _descendants(process.pid)
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"no end {STOP_SECONDS} s after SIGTERM\n{self._tail()}") from None
        assert code == 0, f"exit status {code} after SIGTERM\n{self._tail()}"
        left = _wait_until_nothing(lambda: self._left(descendants))
        assert not left, f"left behind: {left}\n{self._tail()}"
        self._is_unswept = False

    def kill(self) -> None:
        """SIGKILL the daemon alone, as a crash would; its directory stays for the next `start`."""
        process, self.process = self.process, None
        assert process is not None
        descendants = _descendants(process.pid)
        process.kill()
        process.wait()
        self._is_unswept = True
        left = _wait_until_nothing(lambda: _alive(descendants))
        assert not left, f"processes outlived the daemon: {left}"

    def close(self) -> None:
        """Stop, sweep what a `kill` left, and remove what this object made."""
        try:
            if self._is_unswept and self.process is None:
                self.start()
            self.stop()
        finally:
            if self._is_data_dir_ours:
                shutil.rmtree(self.data_dir, ignore_errors=True)
            self._output.unlink(missing_ok=True)

    def _wait_healthy(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            code = self.process.poll()
            if code is not None:
                self.process = None
                raise AssertionError(f"the server ended with status {code}\n{self._tail()}")
            try:
                if self._get("/_lambent/health", timeout=5)[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        self.process.kill()
        self.process.wait()
        self.process = None
        raise AssertionError(f"not healthy after {START_SECONDS} s\n{self._tail()}")

    def _get(self, path: str, *, timeout: float) -> tuple[int, bytes]:
        connection: http.client.HTTPConnection
        if self.scheme == "https":
            # Whether a client that checks the certificate is content is for the tests to say.
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _tail(self) -> str:
        return self.output()[-6_000:]

    def _left(self, descendants: Mapping[int, str]) -> list[str]:
        """Name processes, mounts, loop devices, cgroups and links of this installation that still exist."""
        left = _alive(descendants)
        directory = str(self.data_dir)
        left += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"{directory}/" in line]
        for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
            try:
                if backing.read_text().startswith(directory):
                    left.append(str(backing))
            except OSError:
                continue
        identity = self.data_dir / "launcher" / "installation-id"
        if os.access(identity, os.R_OK):
            installation = identity.read_text().strip()
            left += [str(found) for found in _cgroups(f"lambent-{installation}")]
            prefix = link_prefix(installation)
            left += [name for _, name in socket.if_nameindex() if name.startswith(prefix)]
        return left


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment() -> dict[str, str]:
    """Return this process's environment without settings of Lambent and AWS."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("LAMBENT_", "AWS_"))}


def make_zip_bytes(files: Mapping[str, str | bytes | tuple[str | bytes, int]]) -> bytes:
    """Return a zip of `files`: name → content, or (content, mode); text is UTF-8, the default mode 0644."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, item in files.items():
            content, mode = item if isinstance(item, tuple) else (item, 0o644)
            entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()


def create_function(client: Any, name: str, files: Mapping[str, str], **members: Any) -> dict[str, Any]:
    """Create a Python function from `files`, wait until it is active, and return CreateFunction's answer."""
    request = {"Runtime": "python3.11", "Handler": "index.handler", "Role": f"arn:aws:iam::{_ACCOUNT}:role/test"}
    answer = client.create_function(
        FunctionName=name, Code={"ZipFile": make_zip_bytes(files)}, **{**request, **members}
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return dict(answer)


def invoke(client: Any, name: str, event: object = None) -> Any:
    """Invoke and return the decoded payload; a function error is an AssertionError."""
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event))
    payload = answer["Payload"].read()
    assert "FunctionError" not in answer, payload
    return json.loads(payload)


def _data_directory() -> Path:
    # Not below pytest's own directory: that one is closed to the unprivileged account the daemon takes.
    path = Path(tempfile.mkdtemp(prefix="lambent-test-"))
    path.chmod(0o755)
    return path


def _wait_until_nothing(find: Any) -> list[str]:
    deadline = time.monotonic() + LEAK_SECONDS
    while True:
        left: list[str] = find()
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def _stat(pid: int) -> tuple[int, str, str] | None:
    """Return (parent, start time, state) of a process."""
    try:
        rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(rest[1]), rest[19], rest[0]


def _descendants(root: int) -> dict[int, str]:
    """Return process id → start time of everything below `root`."""
    stats = {int(entry): found for entry in os.listdir("/proc") if entry.isdigit() and (found := _stat(int(entry)))}
    below: dict[int, str] = {}
    wanted = {root}
    while wanted:
        wanted = {pid for pid, (parent, _, _) in stats.items() if parent in wanted and pid not in below}
        below |= {pid: stats[pid][1] for pid in wanted}
    return below


def _alive(processes: Mapping[int, str]) -> list[str]:
    alive = []
    for pid, started in processes.items():
        found = _stat(pid)
        if found is not None and found[1] == started and found[2] not in "ZX":
            alive.append(f"process {pid}")
    return alive


def _cgroups(name: str) -> list[Path]:
    root = Path("/sys/fs/cgroup")
    found = []
    for directory, names, _ in os.walk(root):
        if name in names:
            found.append(Path(directory) / name)
        if directory.count("/") - str(root).count("/") >= 6:
            names.clear()
    return found
