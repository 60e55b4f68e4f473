"""Who asks, as far as the planes need to know."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class UploadedBlob:
    """A large blob member that the door streamed to a file instead of memory. The receiver moves or deletes the file.

    `path` is absolute, in the spool directory; `sha256` is lower-case hex of the decoded bytes.
    """

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Caller:
    """One authenticated API request: account (12 digits), region, principal ARN, request id.

    `operation` is the operation's name as the service description spells it, for answers that name the action.
    `base_url` is how the caller reaches this installation, e.g. "http://127.0.0.1:4566", for URLs in answers.
    `blobs`: dotted member path ("ZipFile", "Code.ZipFile") → the blob; that member is None in the request itself.
    """

    account_id: str
    region: str
    principal_arn: str
    request_id: str
    base_url: str
    blobs: Mapping[str, UploadedBlob] = field(default_factory=dict)
    operation: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """AWS credentials. `session_token` is None for long-lived keys; `account_id` is the account they act in."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    account_id: str
    session_token: str | None = field(default=None, repr=False)
    principal_arn: str = ""
