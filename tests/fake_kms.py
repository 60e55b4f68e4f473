"""A key service for tests: Encrypt, GenerateDataKey, Decrypt of KMS, with keys that can be disabled, denied or gone."""

from __future__ import annotations

import base64
import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

KEY = "arn:aws:kms:us-east-1:000000000000:key/11111111-1111-1111-1111-111111111111"
OTHER_KEY = "arn:aws:kms:us-east-1:000000000000:key/22222222-2222-2222-2222-222222222222"


class FakeKms:
    """Serves at `url` while it is entered. `refusals`: key ARN → (code, text) of the error it answers."""

    def __init__(self) -> None:
        self.keys = {KEY, OTHER_KEY}
        self.refusals: dict[str, tuple[str, str]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._kept: dict[str, tuple[str, str, Any]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

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


def _handler(kms: FakeKms) -> type[BaseHTTPRequestHandler]:
    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert "/kms/aws4_request" in self.headers["Authorization"]
            status, answer = kms.answer(self.headers["X-Amz-Target"].removeprefix("TrentService."), body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            return

    return Requests
