"""Environment variables and a KMS key: encrypted when they are given, decrypted when somebody needs them.

AWS bounds the variables to 4 KB because KMS's Encrypt takes no more: so the key service is given the text itself, and
no key ever comes here. What is bound to one function does not open for another.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from lambent.model.errors import InvalidParameterValueError, LambdaError, NotImplementedHereError, ServiceError
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from lambent.model.function import FunctionVersion
    from lambent.wire.client import OutwardClient

# KMS's refusal → the error of an invocation, and how its text and that of an answered configuration begin.
# Source: API reference, Invoke, errors; developer guide, "Troubleshoot invocation issues"; observed texts.
_DENIED = ("KMSAccessDeniedException", "KMS access was denied")
_REFUSALS = {
    "AccessDeniedException": _DENIED,
    "DisabledException": ("KMSDisabledException", "the KMS key used is disabled"),
    "NotFoundException": ("KMSNotFoundException", "the KMS key was not found"),
    "KMSInvalidStateException": (
        "KMSInvalidStateException",
        "the state of the KMS key used is not valid for Decrypt",
    ),
    "KeyUnavailableException": (
        "KMSInvalidStateException",
        "the state of the KMS key used is not valid for Decrypt",
    ),
}


# Longer than the embedded service takes to start; a caller waits for it, and so does an invocation.
_SECONDS_MAX = 10.0


class KmsKeys:
    """Encrypts and decrypts at the configured KMS, in the name of the function's account. Keeps nothing."""

    def __init__(self, neighbours: OutwardClient) -> None:
        self._neighbours = neighbours

    async def encrypt(self, version: FunctionVersion) -> str:
        """Return the version's variables under its key, as base64.

        Raises:
            InvalidParameterValueError: KMS refused (400). Source: observed.
            NotImplementedHereError: there is no KMS here (501).
            ServiceError: KMS does not answer (500).
        """
        text = json.dumps(dict(version.environment), separators=(",", ":"), ensure_ascii=False)
        plain = base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
        try:
            answer = await self._call("Encrypt", version, {"Plaintext": plain})
        except CallError as refused:
            raise InvalidParameterValueError(
                "Lambda was unable to configure access to your environment variables because the KMS key is invalid "
                "for Encrypt. Please check your KMS key settings. "
                f"KMS Exception: {refused.code} KMS Message: {refused.message}"
            ) from refused
        return str(answer.get("CiphertextBlob", ""))

    async def environment(self, version: FunctionVersion) -> Mapping[str, str]:
        """Return the version's variables, for an environment that starts.

        Raises:
            KMSAccessDeniedException, KMSDisabledException, KMSInvalidStateException, KMSNotFoundException: (502).
            ServiceError: KMS does not answer, or answered something else (500).
        """
        if version.environment_cipher is None:
            return version.environment
        try:
            return await self._decrypted(version)
        except CallError as refused:
            code, reason = _REFUSALS.get(refused.code, _DENIED)
            raise LambdaError(
                f"Lambda was unable to decrypt the environment variables because {reason}. "
                "Please check the function's KMS key settings. "
                f"KMS Exception: {refused.code}KMS Message: {refused.message}",
                code=code,
            ) from refused

    async def shown(self, version: FunctionVersion) -> tuple[Mapping[str, str], tuple[str, str] | None]:
        """Return the variables that an answer shows, or none and the code and text of what stood against it."""
        try:
            return await self._decrypted(version), None
        except CallError as refused:
            _, reason = _REFUSALS.get(refused.code, _DENIED)
            text = (
                f"Lambda was unable to decrypt your environment variables because {reason}. Please check your KMS "
                f"key settings. KMS Exception: {refused.code} KMS Message: {refused.message}"
            )
            return {}, (refused.code, text)
        except LambdaError as error:
            return {}, (error.code, f"Lambda was unable to decrypt your environment variables. {error.message}")

    async def _decrypted(self, version: FunctionVersion) -> dict[str, str]:
        answer = await self._call("Decrypt", version, {"CiphertextBlob": version.environment_cipher})
        try:
            variables = json.loads(base64.b64decode(str(answer.get("Plaintext")), validate=True))
        except (binascii.Error, ValueError) as error:
            raise ServiceError("KMS returned something else than what it was given to encrypt.") from error
        return {str(name): str(value) for name, value in variables.items()}

    async def _call(self, action: str, version: FunctionVersion, body: Mapping[str, object]) -> dict[str, Any]:
        # Source: developer guide, "Securing environment variables": the context that CloudTrail shows.
        context = {"aws:lambda:FunctionArn": str(version.arn)}
        asked = {"KeyId": version.kms_key_arn, "EncryptionContext": context, **body}
        principal = Principal(version.account_id, version.region)
        try:
            async with asyncio.timeout(_SECONDS_MAX):
                return await self._neighbours.call("kms", action, asked, principal)
        except TimeoutError as error:
            raise ServiceError(f"KMS did not answer within {_SECONDS_MAX:g} seconds.") from error
        except NeighbourError as error:
            if error.status == HTTPStatus.NOT_IMPLEMENTED:
                raise NotImplementedHereError(error.message) from error
            raise ServiceError(f"KMS could not be asked: {error.message}") from error
