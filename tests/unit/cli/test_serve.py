"""What a start refuses."""

from __future__ import annotations

import dataclasses
import gc
from typing import TYPE_CHECKING, Any, cast

import pytest

from lambent.cli import serve
from lambent.cli.failure import CommandError
from lambent.cli.serve import is_loopback, protected
from lambent.settings import AuthSettings, IsolationSettings, ServerSettings, Settings
from tests.loops import run_apart

if TYPE_CHECKING:
    from collections.abc import Callable

_SAFE = Settings(
    server=ServerSettings(host="0.0.0.0", tls_cert="/cert", tls_key="/key"), auth=AuthSettings(mode="verify")
)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "lambda.localhost"])
def test_what_only_this_machine_reaches(host: str) -> None:
    assert is_loopback(host)
    settings = Settings(server=ServerSettings(host=host))
    assert protected(settings) == settings


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "example.org", "127.0.0.1.example.org"])
def test_what_others_reach_is_refused_unless_it_is_safe(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(CommandError, match=r"auth\.mode=verify.*--tls-cert"):
        protected(Settings(server=ServerSettings(host=host)))


def test_each_condition_is_needed() -> None:
    without_verify = dataclasses.replace(_SAFE, auth=AuthSettings())
    without_tls = dataclasses.replace(_SAFE, server=ServerSettings(host="0.0.0.0"))
    without_isolation = dataclasses.replace(_SAFE, isolation=IsolationSettings(level="L0"))
    for settings, word in (
        (without_verify, "auth.mode"),
        (without_tls, "--tls-cert"),
        (without_isolation, "isolation"),
    ):
        with pytest.raises(CommandError, match=word):
            protected(settings)


def test_a_safe_server_demands_isolation() -> None:
    assert protected(_SAFE).isolation.min == "L1"
    stricter = dataclasses.replace(_SAFE, isolation=IsolationSettings(min="L2"))
    assert protected(stricter).isolation.min == "L2"


def test_insecure_is_believed() -> None:
    settings = Settings(server=ServerSettings(host="0.0.0.0", insecure=True))
    assert protected(settings) == settings


def test_what_a_start_made_is_not_looked_through_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Started:
        def __init__(self, process: object) -> None:
            self.process = process

        def stop(self) -> None:
            """Never asked to."""

        async def run(self, on_ready: Callable[[], None]) -> None:
            assert gc.get_freeze_count() == 0
            on_ready()
            assert gc.get_freeze_count() > 10_000
            assert gc.isenabled()

    monkeypatch.setattr(serve, "Application", Started)
    monkeypatch.setattr(serve, "banner", lambda app: f"ready {app.process}")
    gc.disable()
    try:
        run_apart(serve._serve(cast("Any", "now")))
    finally:
        gc.enable()
        gc.unfreeze()
    assert capsys.readouterr().out == "ready now\n"
