"""A schema registry for tests: the operations of Confluent's documented API that readers use, and registration."""

from __future__ import annotations

import base64
import urllib.parse
from typing import TYPE_CHECKING, Any

from tests.json_server import JsonServer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence
    from email.message import Message


class Registry(JsonServer):
    """Serves at `url` while it is entered. `account` is what callers must say, `user:password`.

    `failing` is the status of every answer while it is set. `asked` are the paths.
    """

    content_type = "application/vnd.schemaregistry.v1+json"

    def __init__(self, account: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.account = account
        self.failing: int | None = None
        self.asked: list[str] = []
        self._schemas: list[dict[str, Any]] = []
        self._subjects: dict[str, int] = {}
        super().__init__(tls)

    def respond(self, path: str, headers: Message, body: bytes) -> tuple[int, dict[str, Any]]:
        return self.answer(path, headers.get("Authorization"))

    def register(self, subject: str, text: str, kind: str = "AVRO", references: Sequence[str] = ()) -> int:
        """Keep a schema; return its id. `references` are subjects, under which the schema speaks of them."""
        schema: dict[str, Any] = {"schema": text}
        if kind != "AVRO":
            schema["schemaType"] = kind
        if references:
            schema["references"] = [{"name": one, "subject": one, "version": 1} for one in references]
        self._schemas.append(schema)
        self._subjects[subject] = len(self._schemas)
        return len(self._schemas)

    def answer(self, path: str, authorization: str | None) -> tuple[int, dict[str, Any]]:
        """Return status and body of one call."""
        self.asked.append(path)
        if self.failing is not None:
            return self.failing, {"error_code": self.failing}
        wanted = None if self.account is None else f"Basic {base64.b64encode(self.account.encode()).decode()}"
        if wanted not in (None, authorization):
            return 401, {"error_code": 401, "message": "Unauthorized"}
        parts = [urllib.parse.unquote(part) for part in path.strip("/").split("/")]
        if parts[:2] == ["schemas", "ids"]:
            number = int(parts[2])
            if 1 <= number <= len(self._schemas):
                return 200, self._schemas[number - 1]
            return 404, {"error_code": 40403, "message": "Schema not found"}
        if parts[0] == "subjects" and parts[1] in self._subjects:
            number = self._subjects[parts[1]]
            return 200, {"subject": parts[1], "version": 1, "id": number, **self._schemas[number - 1]}
        return 404, {"error_code": 40401, "message": "Subject not found"}


def framed(schema_id: int, body: bytes) -> bytes:
    """Return a body as Confluent's serializers frame it."""
    return b"\x00" + schema_id.to_bytes(4, "big") + body
