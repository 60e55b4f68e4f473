"""Arguments of the command line."""

from __future__ import annotations

import pytest

from lambent.cli.commands import parser, settings_flags
from lambent.settings import SettingError


def test_short_options_and_set_become_settings() -> None:
    words = ["serve", "--host", "::1", "--port", "80", "--data-dir", "/d", "--insecure", "--log-level", "debug"]
    parsed = parser().parse_args([*words, "--set", "auth.mode=verify", "--set", "network.egress=10.0.0.0/8:1=2"])
    assert settings_flags(parsed) == {
        "server.host": "::1",
        "server.port": "80",
        "data_dir": "/d",
        "server.insecure": "true",
        "server.log_level": "debug",
        "auth.mode": "verify",
        "network.egress": "10.0.0.0/8:1=2",
    }


def test_nothing_said_sets_nothing() -> None:
    assert settings_flags(parser().parse_args(["serve"])) == {}
    assert settings_flags(parser().parse_args(["doctor", "--data-dir", "/d"])) == {"data_dir": "/d"}


def test_no_neighbours_is_a_setting_that_set_can_take_back() -> None:
    words = ["serve", "--no-neighbours"]
    assert settings_flags(parser().parse_args(words)) == {"neighbours.enabled": "false"}
    again = [*words, "--set", "neighbours.enabled=true"]
    assert settings_flags(parser().parse_args(again)) == {"neighbours.enabled": "true"}


def test_set_needs_an_equals_sign() -> None:
    with pytest.raises(SettingError, match="--set takes name=value"):
        settings_flags(parser().parse_args(["serve", "--set", "auth.mode"]))


@pytest.mark.parametrize("words", [["start"], ["keys"], ["keys", "revoke"], ["logs"], ["serve", "--prot", "1"]])
def test_wrong_usage_exits_with_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(words)
    assert caught.value.code == 2
    assert "usage: lambent" in capsys.readouterr().err
