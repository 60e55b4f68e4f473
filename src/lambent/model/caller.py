"""Who asks, as far as the planes need to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping


class UploadedBlob(Struct, frozen=True):
    """A large blob member that the door streamed to a file instead of memory. The receiver moves or deletes the file.

    `path` is absolute, in the spool directory; `sha256` is lower-case hex of the decoded bytes.
    """

    path: str
    size_bytes: int
    sha256: str


class Caller(Struct, frozen=True):
    """One authenticated API request: account (12 digits), region, principal ARN, request id.

    `operation` is the operation's name as the service description spells it, for answers that name the action.
    `base_url` is how the caller reaches this installation, e.g. "http://127.0.0.1:4566", for URLs in answers.
    `is_system`: a service of AWS acts for the account, and may give tags whose keys are AWS's.
    `blobs`: dotted member path ("ZipFile", "Code.ZipFile") → the blob; that member is None in the request itself.
    """

    account_id: str
    region: str
    principal_arn: str
    request_id: str
    base_url: str
    blobs: Mapping[str, UploadedBlob] = field(default_factory=dict)
    operation: str = ""
    is_system: bool = False


class Credentials(Struct, frozen=True):
    """AWS credentials. `session_token` is None for long-lived keys; `account_id` is the account they act in."""

    access_key_id: str
    secret_access_key: str
    account_id: str
    session_token: str | None = None
    principal_arn: str = ""

    def __repr__(self) -> str:
        # A struct would print the secret as well.
        return f"Credentials({self.access_key_id!r}, account_id={self.account_id!r})"


class OperationCall(NamedTuple):
    """An operation that an embedded service asks for: `members` is JSON by AWS's names, blobs in base64."""

    operation: str
    account_id: str
    region: str
    members: bytes


class OperationAnswer(NamedTuple):
    """What came of it: `document` is JSON, or `code`, `message` and `status` say why there is none."""

    document: bytes
    code: str = ""
    message: str = ""
    status: int = 200
    request_id: str = ""
