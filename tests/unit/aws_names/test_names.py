"""Whether AWS's names lead here: as the setting says, and as far as their certificates can be had."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from lambent.aws_names import AwsNames
from lambent.aws_names import names as module
from lambent.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def data_directory(tmp_path: Path) -> Path:
    for name in ("keys", "trust", "host/etc/ssl/certs"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "host/etc/ssl/certs/ca-certificates.crt").write_bytes(b"one")
    return tmp_path


def prepared(data_directory: Path, setting: str) -> AwsNames:
    names = AwsNames(data_directory, SystemClock(), setting)
    names.prepare()
    return names


def test_they_do(data_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HOST", data_directory / "host")
    names = prepared(data_directory, "intercept")
    assert names.is_led is not None
    assert names.is_led("sqs.us-east-1.amazonaws.com")
    assert isinstance(names.tls(), ssl.SSLContext)


def test_they_do_not_when_they_shall_pass(data_directory: Path) -> None:
    names = prepared(data_directory, "pass")
    assert names.is_led is None
    assert list((data_directory / "keys").iterdir()) == []
    with pytest.raises(ValueError, match="do not lead here"):
        names.tls()


def test_they_do_not_where_nobody_is_trusted(
    data_directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_HOST", data_directory / "nowhere")
    assert prepared(data_directory, "intercept").is_led is None
    assert "ca-certificates" in caplog.text


def test_they_do_not_when_the_certificates_cannot_be_written(
    data_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (data_directory / "keys").rmdir()
    (data_directory / "keys").write_bytes(b"")
    assert prepared(data_directory, "intercept").is_led is None
    assert "cannot be written" in caplog.text
