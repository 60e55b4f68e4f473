"""examples/database: a connection opened at import, against a real PostgreSQL on this host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.examples.deployment import deploy, invoke, with_packages
from tests.postgres import PASSWORD, Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import ServerFactory


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL."""
    server = Postgres("-c fsync=off")
    try:
        yield server
    finally:
        server.remove()


def _deploy_database(client: Any, directory: Path, port: int) -> None:
    variables = {
        "DB_HOST": "host.lambent.internal",
        "DB_PORT": str(port),
        "DB_USER": "tester",
        "DB_PASSWORD": PASSWORD,
        "DB_NAME": "postgres",
    }
    deploy(
        client, "example-database", with_packages("database", directory / "package"), Handler="database.handler",
        MemorySize=256, Environment={"Variables": variables},
    )  # fmt: skip


@pytest.mark.slow
def test_a_database_that_cannot_be_reached_is_an_error_that_names_it(
    lambent_server_factory: ServerFactory, postgres: Postgres, tmp_path: Path
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
    lambent_server_factory: ServerFactory, postgres: Postgres, tmp_path: Path
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
