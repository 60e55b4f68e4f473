"""What is asked of KMS, and what becomes of its refusals; tests/scenario/test_kms.py sees the rest."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, cast

import pytest
from msgspec.structs import replace

from lambent.functions import KmsKeys
from lambent.model.errors import LambdaError, NotImplementedHereError, ServiceError
from lambent.wire.client import CallError, OutwardClient, Principal
from lambent.wire.error_forms import NeighbourError
from tests.unit.functions.encryption.test_variables import KEYED

if TYPE_CHECKING:
    from collections.abc import Mapping

SEALED = replace(KEYED, environment={}, environment_cipher="c2VhbGVk")


class Neighbours:
    """Answers every call with what the test gave."""

    def __init__(self, answer: dict[str, Any] | Exception) -> None:
        self.answer = answer
        self.calls: list[tuple[str, str, Mapping[str, object], Principal]] = []

    async def call(self, asked: str, action: str, body: Mapping[str, object], principal: Principal) -> dict[str, Any]:
        self.calls.append((asked, action, body, principal))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def keys(answer: dict[str, Any] | Exception) -> tuple[KmsKeys, Neighbours]:
    neighbours = Neighbours(answer)
    return KmsKeys(cast("OutwardClient", neighbours)), neighbours


async def test_the_calls_are_bound_to_the_function() -> None:
    kms, neighbours = keys({"CiphertextBlob": "c2VhbGVk"})
    assert await kms.encrypt(replace(KEYED, environment={"Ä": "1"})) == "c2VhbGVk"
    context = {"aws:lambda:FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f"}
    plain = base64.b64encode('{"Ä":"1"}'.encode()).decode()
    asked = {"KeyId": "k1", "EncryptionContext": context, "Plaintext": plain}
    assert neighbours.calls == [("kms", "Encrypt", asked, Principal("000000000000", "us-east-1"))]
    neighbours.answer = {"Plaintext": plain}
    # A published version opens what $LATEST had sealed.
    assert await kms.environment(replace(SEALED, version="7")) == {"Ä": "1"}
    assert neighbours.calls[1][:3] == (
        "kms",
        "Decrypt",
        {"KeyId": "k1", "EncryptionContext": context, "CiphertextBlob": "c2VhbGVk"},
    )


async def test_without_a_key_nobody_is_asked() -> None:
    kms, neighbours = keys(AssertionError())
    assert await kms.environment(replace(KEYED, kms_key_arn=None)) == {"A": "1"}
    assert neighbours.calls == []


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (NeighbourError("x", "The service kms is switched off.", 501), NotImplementedHereError),
        (NeighbourError("x", "The service kms cannot be reached.", 503), ServiceError),
    ],
)
async def test_no_key_service(failure: Exception, kind: type[LambdaError]) -> None:
    kms, _ = keys(failure)
    with pytest.raises(kind, match="The service kms"):
        await kms.encrypt(KEYED)
    with pytest.raises(kind, match="The service kms"):
        await kms.environment(SEALED)
    environment, error = await kms.shown(SEALED)
    assert environment == {}
    assert error is not None
    assert "The service kms" in error[1]


async def test_what_kms_refuses_for_other_reasons_is_an_access_denied() -> None:
    kms, _ = keys(CallError("InvalidCiphertextException", "", 400))
    with pytest.raises(LambdaError) as refused:
        await kms.environment(SEALED)
    assert refused.value.code == "KMSAccessDeniedException"


@pytest.mark.parametrize("plain", ["bm8ganNvbg==", "???", None])
async def test_what_was_never_sealed_is_our_fault(plain: str | None) -> None:
    kms, _ = keys({"Plaintext": plain})
    with pytest.raises(ServiceError, match="something else"):
        await kms.environment(SEALED)
