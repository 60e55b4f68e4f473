"""Filter criteria under a KMS key: encrypted when they are given, decrypted when somebody needs them.

Criteria may be longer than what KMS itself encrypts, so a data key of their own encrypts them, and KMS that key.
Source: developer guide, "Encryption of filter criteria", "Data security in Lambda" (GenerateDataKey, its context).
"""

from __future__ import annotations

import asyncio
import base64
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from lambent.model.configs.event_source import Filter, FilterCriteria
from lambent.model.errors import InvalidParameterValueError, NotImplementedHereError, ServiceError
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.wire.client import OutwardClient

# Longer than the embedded service takes to start; a caller waits for it.
_SECONDS_MAX = 10.0
_NONCE_BYTES = 12
# What a `FilterCriteriaError` must have. Source: service description, FilterCriteriaErrorCode.
_CODE_END = "Exception"


class FilterKeyError(Exception):
    """Criteria cannot be decrypted: `code` and text are those of `FilterCriteriaError`."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code if code.endswith(_CODE_END) else f"{code}{_CODE_END}"


class FilterKeys:
    """Encrypts and decrypts by the configured KMS, in the name of the mapping's account. Keeps nothing."""

    def __init__(self, client: OutwardClient, random_bytes: Callable[[int], bytes]) -> None:
        self._client = client
        self._random_bytes = random_bytes

    async def sealed(self, mapping: EventSourceMapping) -> EventSourceMapping:
        """Return a mapping as it is kept: if it has a key, with its criteria as ciphertext only.

        Raises:
            InvalidParameterValueError: KMS refused (400).
            NotImplementedHereError: there is no KMS here (501).
            ServiceError: KMS does not answer (500).
        """
        criteria = mapping.filter_criteria
        if mapping.kms_key_arn is None or criteria is None:
            return replace(mapping, filter_criteria_cipher=None)
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            answer = await self._call(mapping, "GenerateDataKey", {"KeySpec": "AES_256"})
        except CallError as refused:
            raise InvalidParameterValueError(
                "Lambda was unable to encrypt your filter criteria because the KMS key is invalid for GenerateDataKey. "
                f"Please check your KMS key settings. KMS Exception: {refused.code} KMS Message: {refused.message}"
            ) from refused
        text = json.dumps([one.pattern for one in criteria.filters or ()]).encode()
        nonce = self._random_bytes(_NONCE_BYTES)
        data = nonce + AESGCM(base64.b64decode(answer["Plaintext"])).encrypt(nonce, text, mapping.uuid.encode())
        kept = {"key": answer["CiphertextBlob"], "data": base64.b64encode(data).decode()}
        return replace(mapping, filter_criteria=None, filter_criteria_cipher=json.dumps(kept))

    async def opened(self, mapping: EventSourceMapping) -> EventSourceMapping:
        """Return a mapping with its criteria in plain text.

        Raises:
            FilterKeyError: KMS refused, does not answer, or the ciphertext is another one's.
        """
        if mapping.filter_criteria_cipher is None:
            return mapping
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        kept = json.loads(mapping.filter_criteria_cipher)
        try:
            answer = await self._call(mapping, "Decrypt", {"CiphertextBlob": kept["key"]})
            data, key = base64.b64decode(kept["data"]), base64.b64decode(str(answer.get("Plaintext")))
            text = AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], mapping.uuid.encode())
        except CallError as refused:
            raise FilterKeyError(
                refused.code,
                "Lambda was unable to decrypt your filter criteria. Please check your KMS key settings. "
                f"KMS Exception: {refused.code} KMS Message: {refused.message}",
            ) from refused
        except (ServiceError, NotImplementedHereError) as error:
            raise FilterKeyError(
                error.code, f"Lambda was unable to decrypt your filter criteria. {error.message}"
            ) from error
        except (InvalidTag, ValueError) as error:
            raise FilterKeyError(
                "InvalidCiphertextException",
                "Lambda was unable to decrypt your filter criteria with what KMS answered.",
            ) from error
        return replace(mapping, filter_criteria=FilterCriteria(tuple(Filter(one) for one in json.loads(text))))

    async def changed(
        self, current: EventSourceMapping, changed: EventSourceMapping, *, is_given: bool
    ) -> EventSourceMapping:
        """Return a changed mapping with its criteria in plain text, unless nothing about them and their key changed.

        `is_given`: the change brings criteria. Raises InvalidParameterValueError: those that stay cannot be read (400).
        """
        if current.filter_criteria_cipher is None:
            return changed
        if is_given:
            return replace(changed, filter_criteria_cipher=None)
        members = ("kms_key_arn", "function_arn")
        if all(getattr(current, member) == getattr(changed, member) for member in members):
            return changed
        try:
            criteria = (await self.opened(current)).filter_criteria
        except FilterKeyError as error:
            raise InvalidParameterValueError(str(error)) from error
        return replace(changed, filter_criteria=criteria, filter_criteria_cipher=None)

    async def _call(self, mapping: EventSourceMapping, action: str, body: Mapping[str, object]) -> dict[str, Any]:
        function = ":".join(mapping.function_arn.split(":")[:7])
        context = {"aws:lambda:FunctionArn": function}
        if mapping.event_source_arn is not None:
            context["aws:lambda:EventSourceArn"] = mapping.event_source_arn
        asked = {"KeyId": mapping.kms_key_arn, "EncryptionContext": context, **body}
        try:
            async with asyncio.timeout(_SECONDS_MAX):
                return await self._client.call("kms", action, asked, Principal(mapping.account_id, mapping.region))
        except TimeoutError as error:
            raise ServiceError(f"KMS did not answer within {_SECONDS_MAX:g} seconds.") from error
        except NeighbourError as error:
            if error.status == HTTPStatus.NOT_IMPLEMENTED:
                raise NotImplementedHereError(error.message) from error
            raise ServiceError(f"KMS could not be asked: {error.message}") from error
