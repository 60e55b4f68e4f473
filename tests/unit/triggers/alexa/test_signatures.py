"""Whether a request is Alexa's."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from lambent.triggers.alexa.signatures import SignatureRules, SkillSignatures, UnsignedError, chain_path
from tests.alexa_certificates import CHAIN_URL, Signer, make_signer
from tests.loops import run_apart

if TYPE_CHECKING:
    from pathlib import Path

    from lambent.wire.http_client import Origin, OutwardRequest

BODY = b'{"request": {}}'


class Bucket:
    """Where chains are: answers as the outward client does, and counts."""

    def __init__(self, chain: bytes, status: int = 200) -> None:
        self.chain = chain
        self.status = status
        self.asked: list[tuple[str, str]] = []

    async def send(self, origin: Origin, request: OutwardRequest) -> Bucket:
        self.asked.append((f"{origin.scheme}://{origin.host}:{origin.port}", request.target))
        return self

    async def read(self, _bytes_max: int) -> bytes:
        return self.chain


class Now:
    """The clock."""

    def time_ms(self) -> int:
        return int(time.time() * 1_000)


@pytest.fixture(scope="module")
def signer() -> Signer:
    return make_signer()


def _signatures(directory: Path, signer: Signer, bucket: Any, **changed: Any) -> SkillSignatures:
    file = directory / "roots.pem"
    file.write_bytes(signer.root)
    return SkillSignatures(SignatureRules(roots=str(file))._replace(**changed), bucket, Now())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        CHAIN_URL,
        "https://s3.amazonaws.com:443/echo.api/echo-api-cert.pem",
        "https://S3.amazonaws.com/echo.api/../echo.api/echo-api-cert.pem",
        "HTTPS://s3.amazonaws.com/echo.api/echo-api-cert.pem",
    ],
)
def test_addresses_that_may_be_alexas(url: str) -> None:
    assert chain_path(url).startswith("/echo.api/echo-api-cert")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://s3.amazonaws.com/echo.api/echo-api-cert.pem",
        "https://notamazon.com/echo.api/echo-api-cert.pem",
        "https://s3.amazonaws.com.evil.example/echo.api/echo-api-cert.pem",
        "https://s3.amazonaws.com@evil.example/echo.api/echo-api-cert.pem",
        "https://s3.amazonaws.com/EcHo.aPi/echo-api-cert.pem",
        "https://s3.amazonaws.com/invalid.path/echo-api-cert.pem",
        "https://s3.amazonaws.com/echo.api/../elsewhere/cert.pem",
        "https://s3.amazonaws.com/echo.api/%2e%2e/elsewhere/cert.pem",
        "https://s3.amazonaws.com:563/echo.api/echo-api-cert.pem",
        "https://s3.amazonaws.com:x/echo.api/echo-api-cert.pem",
        "https://s3.amazonaws.com/echo.api/a b\r\nX: y",
    ],
)
def test_addresses_that_are_not(url: str) -> None:
    with pytest.raises(UnsignedError):
        chain_path(url)


@pytest.mark.parametrize("is_old", [False, True])
def test_what_alexa_signed_is_believed_and_its_chain_is_fetched_once(
    tmp_path: Path, signer: Signer, is_old: bool
) -> None:
    bucket = Bucket(signer.chain)
    signatures = _signatures(tmp_path, signer, bucket)

    async def check() -> None:
        for _ in range(2):
            await signatures.check(signer.headers(BODY, is_old=is_old), BODY)

    run_apart(check())
    assert bucket.asked == [("https://s3.amazonaws.com:443", "/echo.api/echo-api-cert-12.pem")]


def test_what_is_not_alexas_is_refused(tmp_path: Path, signer: Signer) -> None:
    headers = signer.headers(BODY)
    other = make_signer()
    cases: list[tuple[str, Bucket, dict[str, str], bytes]] = [
        ("not of this request", Bucket(signer.chain), headers, b"{}"),
        ("not of this request", Bucket(signer.chain), other.headers(BODY), BODY),
        ("not to be trusted", Bucket(other.chain), other.headers(BODY), BODY),
        ("not one", Bucket(b"rubbish"), headers, BODY),
        ("status 404", Bucket(b"", 404), headers, BODY),
        # The newer header counts, whatever the older says.
        ("not of this request", Bucket(signer.chain), {**headers, "signature-256": headers["signature"]}, BODY),
    ]
    for text, bucket, said, body in cases:
        with pytest.raises(UnsignedError, match=text):
            run_apart(_signatures(tmp_path, signer, bucket).check(said, body))


@pytest.mark.parametrize(("name", "days"), [("echo-api.example.com", 30), ("echo-api.amazon.com", -1)])
def test_certificates_of_others_and_of_yesterday_are_refused(tmp_path: Path, name: str, days: int) -> None:
    signer = make_signer(name, days=days)
    with pytest.raises(UnsignedError, match="not to be trusted"):
        run_apart(_signatures(tmp_path, signer, Bucket(signer.chain)).check(signer.headers(BODY), BODY))


def test_heads(tmp_path: Path, signer: Signer) -> None:
    signatures = _signatures(tmp_path, signer, Bucket(b""))
    headers = signer.headers(BODY)

    def moment(seconds: float) -> str:
        return datetime.fromtimestamp(time.time() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    for seconds in (-120, 0, 120):
        signatures.check_head(headers, moment(seconds))
    refused: list[tuple[dict[str, str], object]] = [
        *((headers, one) for one in (moment(-170), moment(170), "yesterday", None, 5, "")),
        ({**headers, "signature-256": "", "signature": ""}, moment(0)),
        ({**headers, "signature-256": "§§"}, moment(0)),
        ({name: value for name, value in headers.items() if name != "signaturecertchainurl"}, moment(0)),
    ]
    for said, timestamp in refused:
        with pytest.raises(UnsignedError):
            signatures.check_head(said, timestamp)


def test_nothing_is_checked_where_nothing_shall_be(tmp_path: Path, signer: Signer) -> None:
    signatures = _signatures(tmp_path, signer, Bucket(b""), is_checking=False)
    signatures.check_head({}, None)
    run_apart(signatures.check({}, b""))
