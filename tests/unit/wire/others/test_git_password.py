"""Passwords of CodeCommit's credential helper."""

from __future__ import annotations

import base64
import datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lambent.wire.others.git_password import is_signed, password_time_ms, read_basic

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def helper_password(path: str, host: str, region: str, stamp: str = "20260101T120000") -> str:
    """Return what AWS's command writes: its own signer, told what it tells it."""
    signer = SigV4Auth(Credentials("AKIDEXAMPLE", SECRET), "codecommit", region)
    request = AWSRequest(method="GIT", url=f"https://{host}{path}")
    request.context["timestamp"] = stamp
    text = signer.string_to_sign(request, f"GIT\n{path}\n\nhost:{host}\n\nhost\n")
    return f"{stamp}Z{signer.signature(text, request)}"


def test_a_password_of_the_helper_is_right_for_its_path_host_and_region() -> None:
    password = helper_password("/v1/repos/app", "localhost", "eu-west-1")
    assert is_signed(password, SECRET, "/v1/repos/app", "localhost", ["us-east-1", "eu-west-1"])
    assert not is_signed(password, SECRET, "/v1/repos/app", "localhost", ["us-east-1"])
    assert not is_signed(password, SECRET, "/v1/repos/other", "localhost", ["eu-west-1"])
    assert not is_signed(password, SECRET, "/v1/repos/app", "elsewhere", ["eu-west-1"])
    assert not is_signed(password, "another", "/v1/repos/app", "localhost", ["eu-west-1"])
    assert not is_signed("secret", SECRET, "/v1/repos/app", "localhost", ["eu-west-1"])


def test_when_a_password_was_made() -> None:
    made = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
    assert password_time_ms(helper_password("/v1/repos/app", "h", "us-east-1")) == int(made.timestamp() * 1_000)
    assert password_time_ms(SECRET) is None
    assert password_time_ms("20261399T999999Z" + "0" * 64) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AKID:secret", ("AKID", None, "secret")),
        ("ASIA%tok/en:pass:word", ("ASIA", "tok/en", "pass:word")),
        ("alone", ("alone", None, "")),
    ],
)
def test_basic(text: str, expected: tuple[str, str | None, str]) -> None:
    assert read_basic(f"Basic {base64.b64encode(text.encode()).decode()}") == expected


@pytest.mark.parametrize("header", [None, "", "Bearer x", "Basic ???", "Basic /w=="])
def test_no_basic(header: str | None) -> None:
    assert read_basic(header) is None
