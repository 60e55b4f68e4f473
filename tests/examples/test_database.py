"""examples/database: a connection opened at import, against a real PostgreSQL on this host."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.examples.deployment import deploy, invoke, with_packages
from tests.running import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory

_PASSWORD = "only-for-this-test"


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class _Postgres:
    """A server on a directory and a port of its own, under an unprivileged account when this is root."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._directory = Path(tempfile.mkdtemp(prefix="lambent-postgres-"))
        self.port = free_port()
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self._directory, self._user.pw_uid, self._user.pw_gid)
        password = self._directory / "password"
        password.write_text(_PASSWORD)
        if self._user is not None:
            os.chown(password, self._user.pw_uid, self._user.pw_gid)
        data = str(self._directory / "data")
        self._run("initdb", "-D", data, "-U", "tester", f"--pwfile={password}", "-A", "scram-sha-256", "--no-sync")
        # Functions come from addresses of their own, not from 127.0.0.1.
        with open(f"{data}/pg_hba.conf", "a") as rules:
            rules.write("host all all all scram-sha-256\n")
        self._options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        self.start()

    def start(self) -> None:
        """Start and wait until it answers."""
        log = str(self._directory / "log")
        self._run("pg_ctl", "-D", str(self._directory / "data"), "-l", log, "-w", "-o", self._options, "start")

    def stop(self) -> None:
        """Stop; connections are cut."""
        self._run("pg_ctl", "-D", str(self._directory / "data"), "-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        """Stop and remove everything."""
        self.stop()
        shutil.rmtree(self._directory)

    def _run(self, program: str, *arguments: str) -> None:
        account: dict[str, Any] = {}
        if self._user is not None:
            account = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        with tempfile.TemporaryFile("w+") as output:
            code = subprocess.run(
                [str(self._programs / program), *arguments],
                cwd=self._directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, **account,
            ).returncode  # fmt: skip
            output.seek(0)
            assert code == 0, output.read()


@pytest.fixture
def postgres() -> Iterator[_Postgres]:
    """A running PostgreSQL."""
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL on this machine")
    server = _Postgres(programs)
    try:
        yield server
    finally:
        server.remove()


def _deploy_database(client: Any, directory: Path, port: int) -> None:
    variables = {
        "DB_HOST": "host.lambent.internal",
        "DB_PORT": str(port),
        "DB_USER": "tester",
        "DB_PASSWORD": _PASSWORD,
        "DB_NAME": "postgres",
    }
    deploy(
        client, "example-database", with_packages("database", directory / "package"), Handler="database.handler",
        MemorySize=256, Environment={"Variables": variables},
    )  # fmt: skip


@pytest.mark.slow
def test_a_database_that_cannot_be_reached_is_an_error_that_names_it(
    lambent_server_factory: ServerFactory, postgres: _Postgres, tmp_path: Path
) -> None:
    """At every level: a port of the host that no setting opens stays closed, and each call tries anew and says so."""
    client = lambent_server_factory({"network.egress": "none"}).client()
    _deploy_database(client, tmp_path, postgres.port)
    for _ in range(2):
        answer = invoke(client, "example-database", {"name": "Ada"})
        assert answer.error == "Unhandled"
        assert answer.payload["errorType"] == "InterfaceError"
        assert f"host host.lambent.internal and port {postgres.port}" in answer.payload["errorMessage"]


@pytest.mark.slow
def test_the_connection_survives_freezing_and_is_opened_anew_when_cut(
    lambent_server_factory: ServerFactory, postgres: _Postgres, tmp_path: Path
) -> None:
    """The same server process serves call after call; after its restart the function connects again."""
    server = lambent_server_factory({"network.host_ports": str(postgres.port)})
    if "missing    egress: /dev/net/tun" in server.output():
        pytest.skip("no egress here: /dev/net/tun is closed to this account")
    client = server.client()
    _deploy_database(client, tmp_path, postgres.port)
    answers = [invoke(client, "example-database", {"name": "Ada"}) for _ in range(3)]
    assert [each.error for each in answers] == [None] * 3, answers
    assert [each.payload["count"] for each in answers] == [1, 2, 3]
    assert len({each.payload["backend"] for each in answers}) == 1
    postgres.stop()
    postgres.start()
    after = invoke(client, "example-database", {"name": "Ada"})
    assert after.error is None, after
    assert (after.payload["count"], after.payload["connections"]) == (4, 2)
