"""URLs that GetFunction and GetLayerVersion answer: signed, good for ten minutes, opened by a local route."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from msgspec import Struct

from lambent.model.errors import AccessDeniedError, ResourceNotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from lambent.clock import Clock
    from lambent.model.caller import Caller
    from lambent.store import CodeStore, InstallationKey

# Source: API reference, GetFunction: "a presigned URL … valid for 10 minutes".
_VALID_SECONDS = 600
_SHA256 = re.compile(r"[0-9a-f]{64}")

PATH = "/_lambent/v1/code/"


class CodeDownload(Struct, frozen=True):
    """A package to send: its file, its size at opening, and the name to save it under.

    `blocks` are what to send instead of the file when that is encrypted.
    """

    path: str
    size_bytes: int
    file_name: str
    blocks: AsyncIterator[bytes] | None = None


class CodeLinks:
    """Makes and checks the URLs. Keeps no state: what a link allows is in its signature."""

    def __init__(self, code: CodeStore, key: InstallationKey, clock: Clock) -> None:
        self._code = code
        self._key = key
        self._clock = clock

    def url(self, caller: Caller, sha256: str, name: str) -> str:
        """Return a URL that downloads a package, as `name`.zip, without credentials for ten minutes."""
        expires = str(self._clock.time_ms() // 1000 + _VALID_SECONDS)
        signature = self._key.sign("code-link", f"{sha256}/{name}/{expires}")
        query = urlencode({"name": name, "Expires": expires, "Signature": signature})
        return f"{caller.base_url}{PATH}{quote(sha256)}?{query}"

    async def open(self, sha256: str, query: Mapping[str, str]) -> CodeDownload:
        """Return the package of a URL: the path's last segment and its query's first values.

        Raises:
            AccessDeniedError: the signature is not ours or its time is over (403).
            ResourceNotFoundError: nobody uses the package any more (404).
            ServiceError: another daemon took it in, and it cannot be had from there (500).
        """
        name, expires, signature = (query.get(part, "") for part in ("name", "Expires", "Signature"))
        text = f"{sha256}/{name}/{expires}"
        if _SHA256.fullmatch(sha256) is None or not self._key.is_signed("code-link", text, signature):
            raise AccessDeniedError("The link's signature is not valid.")
        if int(expires) < self._clock.time_ms() // 1000:
            raise AccessDeniedError("Request has expired")
        await self._code.bring(sha256)
        path = self._code.zip_path(sha256)
        try:
            size_bytes, blocks = path.stat().st_size, self._code.read(sha256)
        except FileNotFoundError:
            raise ResourceNotFoundError("The package is not there any more.") from None
        return CodeDownload(str(path), size_bytes, f"{name}.zip", blocks)
