"""Packages from S3: GetObject at a configured endpoint, path-style."""

from __future__ import annotations

import asyncio
import hashlib
import re
import tempfile
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from lambent.model.caller import UploadedBlob
from lambent.model.errors import InvalidParameterValueError, LambdaError, ServiceError
from lambent.model.quotas import UNPACKED_BYTES
from lambent.wire.sigv4 import SignedRequest, SigningCredentials, sign

if TYPE_CHECKING:
    import http.client

    from lambent.clock import Clock

_TIMEOUT_SECONDS = 30.0
_BLOCK_BYTES = 1 << 20
_ERROR_BYTES_MAX = 65_536
_EMPTY_SHA256 = hashlib.sha256().hexdigest()


@dataclass(frozen=True, slots=True)
class S3Place:
    """Where packages come from and go to: an http or https URL, a region, the spool directory.

    Without `credentials` requests are not signed.
    """

    endpoint: str
    region: str
    spool_directory: str
    credentials: SigningCredentials | None = None


class S3Packages:
    """Downloads packages. Keeps no state; each download is one connection in a thread."""

    def __init__(self, place: S3Place, clock: Clock) -> None:
        self._place = place
        self._clock = clock

    async def download(self, bucket: str, key: str, object_version: str | None) -> UploadedBlob:
        """Return the object as a file in the spool, which belongs to the caller.

        Raises:
            InvalidParameterValueError: S3 refused, in the words of AWS Lambda (400).
            ServiceError: S3 cannot be reached or broke off (500).
        Source: recorded (lambda/test_lambda_api.json, test_lambda_code_location_s3_errors).
        """
        return await asyncio.to_thread(self._download, bucket, key, object_version)

    def _download(self, bucket: str, key: str, object_version: str | None) -> UploadedBlob:
        # Imported with the first package from S3: it brings the e-mail library along, and few servers need it.
        import http.client

        url = urlsplit(self._place.endpoint)
        assert url.hostname is not None
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = kind(url.hostname, url.port, timeout=_TIMEOUT_SECONDS)
        path = f"{url.path.rstrip('/')}/{bucket}/{key}"
        query = "" if object_version is None else urlencode({"versionId": object_version})
        target = quote(path, safe="/~") + (f"?{query}" if query else "")
        try:
            connection.request("GET", target, headers=self._headers(url.netloc, path, query))
            answer = connection.getresponse()
            if answer.status != HTTPStatus.OK:
                raise _refusal(answer.status, answer.read(_ERROR_BYTES_MAX))
            return self._keep(answer)
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(f"The package could not be read from S3: {error}") from error
        finally:
            connection.close()

    def _headers(self, host: str, path: str, query: str) -> dict[str, str]:
        headers = {"host": host, "x-amz-content-sha256": _EMPTY_SHA256}
        if self._place.credentials is None:
            return headers
        # S3 signs the path encoded once, other services encode what was sent once more: so it is given unencoded.
        request = SignedRequest("GET", path, query, headers)
        scope = (self._place.region, "s3")
        return headers | sign(request, _EMPTY_SHA256, self._place.credentials, scope, self._clock.time_ms())

    def _keep(self, answer: http.client.HTTPResponse) -> UploadedBlob:
        digest, size_bytes = hashlib.sha256(), 0
        with tempfile.NamedTemporaryFile(dir=self._place.spool_directory, prefix="s3-", delete=False) as file:
            try:
                while block := answer.read(_BLOCK_BYTES):
                    size_bytes += len(block)
                    if size_bytes > UNPACKED_BYTES.value:
                        raise InvalidParameterValueError(
                            f"Unzipped size must be smaller than {UNPACKED_BYTES.value} bytes"
                        )
                    digest.update(block)
                    file.write(block)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        return UploadedBlob(file.name, size_bytes, digest.hexdigest())


def _refusal(status: int, body: bytes) -> LambdaError:
    text = body.decode("utf-8", "replace")
    code = _element(text, "Code") or str(status)
    message = _element(text, "Message") or _phrase(status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServiceError(f"The package could not be read from S3: {code} {message}")
    return InvalidParameterValueError(
        f"Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}"
    )


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else ""


def _element(document: str, name: str) -> str | None:
    # A pattern and no XML parser: the answer is another machine's, and entities are work without end.
    match = re.search(rf"<{name}>([^<]*)</{name}>", document)
    if match is None:
        return None
    import html

    return html.unescape(match[1])
