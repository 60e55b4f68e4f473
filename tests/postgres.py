"""A real PostgreSQL for tests: a cluster and a port of its own, run by an unprivileged account when this is root."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.running import free_port

PASSWORD = "only-for-these-tests"


def programs() -> Path:
    """Return the directory of initdb and pg_ctl; without one the test is skipped."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        pytest.skip("no PostgreSQL on this machine")
    return found[-1].parent if found else Path(str(on_path)).parent


class Postgres:
    """A server that keeps what it acknowledges (fsync is on). `options` are for the command line of `postgres`."""

    def __init__(self, *options: str) -> None:
        self._programs = programs()
        self.directory = Path(tempfile.mkdtemp(prefix="lambent-postgres-"))
        self.data = self.directory / "data"
        self.port = free_port()
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        password = self.directory / "password"
        password.write_text(PASSWORD)
        if self._user is not None:
            for path in (self.directory, password):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        self._run(
            "initdb", "-D", str(self.data), "-U", "tester", f"--pwfile={password}", "-A", "scram-sha-256",
            "-E", "UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip
        # Functions come from addresses of their own, not from 127.0.0.1.
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")
        fixed = (f"-p {self.port}", "-c listen_addresses=127.0.0.1", "-c unix_socket_directories=''")
        self._options = " ".join((*fixed, "-c max_connections=200", *options))
        self.start()

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://tester:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def make_database(self, name: str) -> str:
        """Return the URL of a database, which is made unless it is there."""
        if not self.query(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
            self.query(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def query(self, statement: str, database: str = "postgres") -> str:
        """Return what psql prints for a statement, unaligned and without headings."""
        run = subprocess.run(
            [str(self._programs / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement, self.url(database)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        return run.stdout.strip()

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])

    def children(self) -> list[int]:
        """Return the process ids of the postmaster's children, one of them for each connection."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def start(self) -> None:
        """Start and wait until it answers, after a crash too."""
        log = str(self.directory / "log")
        self._run("pg_ctl", "-D", str(self.data), "-l", log, "-w", "-t", "60", "-o", self._options, "start")

    def kill(self) -> None:
        """SIGKILL every process of the server at once, as a crash of the machine would."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        # One that was forked a moment ago is nobody's child now and could still acknowledge a commit.
        while left := self._running():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        # Where nobody buries the dead, the next start would take the old one for alive.
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop; connections are cut."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        """Stop, unless that was done, and remove everything."""
        if (self.data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.directory)

    def _running(self) -> list[int]:
        """Return the processes of the server: each has its data directory for its own."""
        found = []
        for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/cwd") == str(self.data) and _is_running(pid):
                    found.append(pid)
        return found

    def _run(self, program: str, *arguments: str) -> None:
        account: dict[str, Any] = {}
        if self._user is not None:
            account = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        with tempfile.TemporaryFile("w+") as output:
            code = subprocess.run(
                [str(self._programs / program), *arguments],
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, **account,
            ).returncode  # fmt: skip
            output.seek(0)
            assert code == 0, output.read()


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
