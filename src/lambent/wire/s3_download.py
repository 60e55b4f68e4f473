"""A package from S3: GetObject at a configured endpoint, streamed to a file and hashed on the way.

Blocking: call it in a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from lambent.wire.sigv4 import SigningCredentials

_PART_BYTES = 1_048_576
_CONNECT_SECONDS = 10
_READ_SECONDS = 60


class S3DownloadError(Exception):
    """The object cannot be had; the text is what Lambda tells its caller."""


class DownloadedObject(NamedTuple):
    """Size of the object in bytes, and its sha256 in lower-case hex."""

    size_bytes: int
    sha256: str


class S3ObjectSource(NamedTuple):
    """Where an object is. `version` None: the current one."""

    bucket: str
    key: str
    version: str | None = None


class S3Download:
    """Reads objects from one endpoint. Scope: process; keeps no connection and no state.

    `size_bytes_max` bounds what is written, whatever the endpoint says.
    """

    def __init__(self, endpoint_url: str, size_bytes_max: int) -> None:
        self._endpoint_url = endpoint_url
        self._size_bytes_max = size_bytes_max

    def fetch(
        self, source: S3ObjectSource, destination: str, region: str, credentials: SigningCredentials
    ) -> DownloadedObject:
        """Write the object to `destination` (made anew) and return its size and hash; nothing is left on failure.

        Raises:
            S3DownloadError: S3 refused, cannot be reached, or the object is too large.
            OSError: the file cannot be written.
        """
        path = Path(destination)
        try:
            return self._write(self._open(source, region, credentials), path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            raise

    def _open(self, source: S3ObjectSource, region: str, credentials: SigningCredentials) -> Any:
        # Imported here: reading botocore takes longer than starting the rest of the server.
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        client = botocore.session.Session().create_client(
            "s3",
            region_name=region,
            endpoint_url=self._endpoint_url,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.session_token,
            config=Config(
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_READ_SECONDS,
                retries={"total_max_attempts": 3},
                s3={"addressing_style": "path"},
            ),
        )
        arguments = {"Bucket": source.bucket, "Key": source.key}
        if source.version is not None:
            arguments["VersionId"] = source.version
        try:
            return client.get_object(**arguments)["Body"]
        except ClientError as error:
            raise S3DownloadError(_told(source, error.response["Error"])) from error
        except BotoCoreError as error:
            raise S3DownloadError(f"Error occurred while GetObject. S3 cannot be reached: {error}") from error

    def _write(self, body: Any, path: Path) -> DownloadedObject:
        from botocore.exceptions import BotoCoreError

        digest = hashlib.sha256()
        size_bytes = 0
        with contextlib.closing(body), path.open("wb") as file:
            try:
                for part in body.iter_chunks(_PART_BYTES):
                    size_bytes += len(part)
                    if size_bytes > self._size_bytes_max:
                        raise S3DownloadError(f"The object is larger than {self._size_bytes_max} bytes")
                    digest.update(part)
                    file.write(part)
            except BotoCoreError as error:
                raise S3DownloadError(f"Error occurred while GetObject. The answer was cut: {error}") from error
        return DownloadedObject(size_bytes, digest.hexdigest())


def _told(source: S3ObjectSource, error: dict[str, str]) -> str:
    # Source: observed texts of CreateFunction and UpdateFunctionCode.
    code, message = error.get("Code", ""), error.get("Message", "")
    if code in ("AccessDenied", "403"):
        return (
            "Your access has been denied by S3, please make sure your request credentials have permission to "
            f"GetObject for {source.bucket}/{source.key}. S3 Error Code: {code}. S3 Error Message: {message}"
        )
    return f"Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}"
