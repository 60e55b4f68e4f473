"""Fixtures for everybody: a real server, clients for it, zips; the rule for skips; `--long`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.running import LambentServer, make_zip_bytes
from tests.skips import SkipGuard, is_strict, read_allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


class ServerFactory(Protocol):
    """Starts servers that end with the test's module."""

    def __call__(
        self, settings: Mapping[str, str] | None = None, data_dir: Path | None = None, arguments: tuple[str, ...] = ()
    ) -> LambentServer:
        """Return a started, healthy server."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--long`: run the tests marked long, and only those."""
    parser.addoption("--long", action="store_true", help="run the tests marked long, and only those")


def pytest_configure(config: pytest.Config) -> None:
    """Watch over skips."""
    config.pluginmanager.register(SkipGuard(read_allowed(), is_strict=is_strict()), "lambent-skips")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the long tests, or the others."""
    is_long = config.getoption("--long")
    chosen = [item for item in items if (item.get_closest_marker("long") is not None) == is_long]
    if len(chosen) != len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


@pytest.fixture(scope="session")
def lambent_server() -> Iterator[LambentServer]:
    """One server for the whole run, with default settings. Tests use function names of their own."""
    server = LambentServer()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture(scope="module")
def lambent_server_factory() -> Iterator[ServerFactory]:
    """A callable (settings, data_dir, arguments) → started server; all are stopped after the module."""
    servers: list[LambentServer] = []

    def start(
        settings: Mapping[str, str] | None = None, data_dir: Path | None = None, arguments: tuple[str, ...] = ()
    ) -> LambentServer:
        server = LambentServer(settings, data_dir, arguments)
        servers.append(server)
        return server.start()

    yield start
    failures = []
    for server in reversed(servers):
        try:
            server.close()
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)


@pytest.fixture(scope="session")
def lambda_client(lambent_server: LambentServer) -> Any:
    """A boto3 client of the run's server."""
    return lambent_server.client()


@pytest.fixture(scope="session")
def needs_egress() -> None:
    """Skip where functions reach nothing outside: an ordinary user needs the device."""
    if os.geteuid() != 0 and not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("no egress here: /dev/net/tun is closed to this account")


@pytest.fixture(scope="session")
def make_zip() -> Callable[[Mapping[str, str | bytes | tuple[str | bytes, int]]], bytes]:
    """Return the callable files → zip bytes."""
    return make_zip_bytes
