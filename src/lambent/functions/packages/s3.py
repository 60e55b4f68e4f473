"""Packages from S3: GetObject at the configured endpoint, or at the embedded one, in the caller's account."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from http import HTTPStatus
from typing import IO, TYPE_CHECKING

from lambent.model.caller import UploadedBlob
from lambent.model.errors import InvalidParameterValueError, LambdaError, NotImplementedHereError, ServiceError
from lambent.model.quotas import UNPACKED_BYTES
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError
from lambent.wire.http_client import ConnectionFailedError

if TYPE_CHECKING:
    from pathlib import Path

    from lambent.model.caller import Caller
    from lambent.wire.client import OutwardClient
    from lambent.wire.http_client import OutwardResponse


class S3Packages:
    """Downloads packages into the spool directory. Keeps no state."""

    def __init__(self, neighbours: OutwardClient, spool_directory: Path) -> None:
        self._neighbours = neighbours
        self._spool_directory = spool_directory

    async def download(self, caller: Caller, bucket: str, key: str, object_version: str | None) -> UploadedBlob:
        """Return the object as a file in the spool, which belongs to the caller.

        Raises:
            InvalidParameterValueError: S3 refused, in the words of AWS Lambda (400).
            NotImplementedHereError: there is no S3 here (501).
            ServiceError: S3 cannot be reached or broke off (500).
        Source: recorded (lambda/test_lambda_api.json, test_lambda_code_location_s3_errors).
        """
        principal = Principal(caller.account_id, caller.region)
        try:
            response = await self._neighbours.get_object(bucket, key, object_version, principal)
            return await self._keep(response)
        except CallError as refused:
            raise _refusal(refused) from refused
        except NeighbourError as error:
            if error.status == HTTPStatus.NOT_IMPLEMENTED:
                raise NotImplementedHereError(error.message) from error
            raise ServiceError(f"The package could not be read from S3: {error.message}") from error
        except (OSError, ConnectionFailedError) as error:
            raise ServiceError(f"The package could not be read from S3: {error}") from error

    async def _keep(self, response: OutwardResponse) -> UploadedBlob:
        digest, size_bytes = hashlib.sha256(), 0
        file = await asyncio.to_thread(_new_file, self._spool_directory)
        try:
            async for block in response:
                size_bytes += len(block)
                if size_bytes > UNPACKED_BYTES.value:
                    raise InvalidParameterValueError(f"Unzipped size must be smaller than {UNPACKED_BYTES.value} bytes")
                digest.update(block)
                await asyncio.to_thread(file.write, block)
            await asyncio.to_thread(file.close)
        except BaseException:
            file.close()
            os.unlink(file.name)
            raise
        finally:
            await response.aclose()
        return UploadedBlob(file.name, size_bytes, digest.hexdigest())


def _new_file(directory: Path) -> IO[bytes]:
    return tempfile.NamedTemporaryFile(dir=directory, prefix="s3-", delete=False)


def _refusal(refused: CallError) -> LambdaError:
    message = refused.message or _phrase(refused.status)
    if refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServiceError(f"The package could not be read from S3: {refused.code} {message}")
    return InvalidParameterValueError(
        f"Error occurred while GetObject. S3 Error Code: {refused.code}. S3 Error Message: {message}"
    )


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else ""
