"""A key service for tests: Encrypt, GenerateDataKey, Decrypt of KMS, with keys that can be disabled, denied or gone."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING, Any

from tests.json_server import JsonServer

if TYPE_CHECKING:
    from email.message import Message

KEY = "arn:aws:kms:us-east-1:000000000000:key/11111111-1111-1111-1111-111111111111"
OTHER_KEY = "arn:aws:kms:us-east-1:000000000000:key/22222222-2222-2222-2222-222222222222"


class FakeKms(JsonServer):
    """Serves at `url` while it is entered. `refusals`: key ARN → (code, text) of the error it answers."""

    content_type = "application/x-amz-json-1.1"

    def __init__(self) -> None:
        self.keys = {KEY, OTHER_KEY}
        self.refusals: dict[str, tuple[str, str]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._kept: dict[str, tuple[str, str, Any]] = {}
        super().__init__()

    def respond(self, path: str, headers: Message, body: bytes) -> tuple[int, dict[str, Any]]:
        assert "/kms/aws4_request" in headers["Authorization"]
        return self.answer(headers["X-Amz-Target"].removeprefix("TrentService."), json.loads(body))

    def answer(self, action: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return status and body of one call."""
        self.calls.append((action, asked))
        key = asked["KeyId"]
        code, text = self.refusals.get(key, ("", ""))
        if not code and key not in self.keys:
            code, text = "NotFoundException", f"Key '{key}' does not exist"
        if code:
            return 400, {"__type": code, "message": text}
        if action in ("Encrypt", "GenerateDataKey"):
            plain = asked.get("Plaintext") or base64.b64encode(secrets.token_bytes(32)).decode()
            blob = base64.b64encode(secrets.token_bytes(48)).decode()
            self._kept[blob] = (key, plain, asked.get("EncryptionContext"))
            answer = {"CiphertextBlob": blob, "KeyId": key}
            return 200, answer if action == "Encrypt" else {**answer, "Plaintext": plain}
        kept = self._kept.get(asked["CiphertextBlob"])
        if kept is None or (kept[0], kept[2]) != (key, asked.get("EncryptionContext")):
            return 400, {"__type": "InvalidCiphertextException", "message": ""}
        return 200, {"Plaintext": kept[1], "KeyId": key}
