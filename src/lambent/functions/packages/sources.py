"""Where a request's deployment package comes from: the request itself, the spool, or S3."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from lambent.model.errors import InvalidParameterValueError, NotImplementedHereError, RequestEntityTooLargeError
from lambent.model.quotas import ZIP_REQUEST_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from lambent.model.caller import Caller, UploadedBlob


class PackageSource(Struct, frozen=True):
    """The members of a request that say where the code is. `blob_member` is ZipFile's path in Caller.blobs;
    `refusal_of_nothing` is what is said when none of the others is given. Source of the text: observed.
    """

    blob_member: str
    zip_file: bytes | None = None
    s3_bucket: str | None = None
    s3_key: str | None = None
    s3_object_version: str | None = None
    refusal_of_nothing: str = "Please provide a source for function code."


class Packages:
    """Brings a request's package to hand: as bytes, or as the path of a file. Keeps no state."""

    def __init__(self, download: Callable[[Caller, str, str, str | None], Awaitable[UploadedBlob]] | None) -> None:
        self._download = download

    @contextlib.asynccontextmanager
    async def open(self, caller: Caller, source: PackageSource) -> AsyncIterator[bytes | str]:
        """Yield the zip's bytes or its file's path for a block; what the block leaves of the file is removed.

        Raises:
            RequestEntityTooLargeError: more than 52,428,800 bytes in the request (413).
            InvalidParameterValueError: no source, or two (400); or what S3 answered.
            NotImplementedHereError: S3 is named and no endpoint is set (501).
        """
        paths = [blob.path for blob in caller.blobs.values()]
        try:
            uploaded = caller.blobs.get(source.blob_member)
            _check_one_source(source, is_uploaded=uploaded is not None)
            if uploaded is not None:
                _check_size(uploaded.size_bytes)
                yield uploaded.path
            elif source.zip_file is not None:
                _check_size(len(source.zip_file))
                yield source.zip_file
            else:
                downloaded = await self._fetch(caller, source)
                paths.append(downloaded.path)
                yield downloaded.path
        finally:
            if paths:
                await asyncio.to_thread(_remove, paths)

    async def _fetch(self, caller: Caller, source: PackageSource) -> UploadedBlob:
        if self._download is None:
            raise NotImplementedHereError(
                "There is no S3 here: set neighbours.s3.endpoint, or send the package as ZipFile."
            )
        assert source.s3_bucket is not None
        assert source.s3_key is not None
        return await self._download(caller, source.s3_bucket, source.s3_key, source.s3_object_version)


def _check_one_source(source: PackageSource, *, is_uploaded: bool) -> None:
    # Source: observed.
    has_s3 = source.s3_bucket is not None or source.s3_key is not None or source.s3_object_version is not None
    if is_uploaded or source.zip_file is not None:
        if has_s3:
            raise InvalidParameterValueError(
                "Please do not provide other FunctionCode parameters when providing a ZipFile."
            )
    elif not has_s3:
        raise InvalidParameterValueError(source.refusal_of_nothing)
    elif source.s3_bucket is None or source.s3_key is None:
        raise InvalidParameterValueError("Please provide both S3Bucket and S3Key.")


def _check_size(size_bytes: int) -> None:
    # Source: recorded (test_oversized_zipped_create_lambda).
    if size_bytes > ZIP_REQUEST_BYTES.value:
        raise RequestEntityTooLargeError(f"Zipped size must be smaller than {ZIP_REQUEST_BYTES.value} bytes")


def _remove(paths: list[str]) -> None:
    for path in paths:
        Path(path).unlink(missing_ok=True)
