"""A schema registry for tests: the operations of Confluent's documented API that readers use, and registration."""

from __future__ import annotations

import base64
import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence


class Registry:
    """Serves at `url` while it is entered. `account` is what callers must say, `user:password`.

    `failing` is the status of every answer while it is set. `asked` are the paths.
    """

    def __init__(self, account: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.account = account
        self.failing: int | None = None
        self.asked: list[str] = []
        self._schemas: list[dict[str, Any]] = []
        self._subjects: dict[str, int] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _requests(self))
        self._scheme = "http"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

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


def _requests(registry: Registry) -> type[BaseHTTPRequestHandler]:
    class Requests(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, answer = registry.answer(self.path, self.headers.get("Authorization"))
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            return

    return Requests
