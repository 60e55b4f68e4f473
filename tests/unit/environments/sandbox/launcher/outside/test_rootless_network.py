"""When there is no way out without root, and why; the way itself is tested in tests/sandbox/escape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.environments.sandbox.launcher.outside import rootless_network
from lambent.environments.sandbox.launcher.outside.rootless_network import RootlessUplink

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def install(directory: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = directory / name
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    monkeypatch.setattr(rootless_network, "_SEARCH_PATH", str(directory))


def test_without_a_carrier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootless_network, "_SEARCH_PATH", str(tmp_path))
    uplink = RootlessUplink(())
    assert "apt install passt" in uplink.reason
    uplink.attach(1)
    uplink.stop()


def test_without_the_tun_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "pasta", monkeypatch)
    monkeypatch.setattr(rootless_network, "_TUN", str(tmp_path / "tun"))
    uplink = RootlessUplink(())
    assert "chmod 0666" in uplink.reason
    uplink.stop()


def test_host_ports_need_pasta(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "slirp4netns", monkeypatch)
    uplink = RootlessUplink((80,))
    assert "needs pasta" in uplink.reason
    uplink.stop()


def test_a_carrier_that_was_never_attached_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "pasta", monkeypatch)
    (tmp_path / "tun").touch()
    monkeypatch.setattr(rootless_network, "_TUN", str(tmp_path / "tun"))
    uplink = RootlessUplink(())
    assert uplink.reason == ""
    uplink.stop()
    uplink.stop()


def test_the_carrier_offers_nothing_of_the_host_but_opened_ports() -> None:
    command = rootless_network._command("/usr/bin/pasta", "77", (80, 5_432))
    assert "--no-map-gw" in command
    assert command[-1] == "77"
    assert command[command.index("-T") + 1] == "80,5432"
    for option in ("-t", "-u", "-U"):
        assert command[command.index(option) + 1] == "none"
    assert "--disable-host-loopback" in rootless_network._command("/usr/bin/slirp4netns", "77", ())
