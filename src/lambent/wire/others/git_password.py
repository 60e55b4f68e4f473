"""The password that CodeCommit's credential helper makes for git: a time and a signature of the repository's path.

Source: AWS CLI, `aws codecommit credential-helper`: what it writes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from lambent.wire.sigv4 import SigningKeys

if TYPE_CHECKING:
    from collections.abc import Iterable

_PASSWORD = re.compile(r"(\d{8}T\d{6})Z([0-9a-f]{64})")


class BasicCredentials(NamedTuple):
    """What git sends. The helper puts a session token behind the access key, after a percent sign."""

    access_key_id: str
    session_token: str | None
    password: str


def read_basic(header: str | None) -> BasicCredentials | None:
    """Return what an Authorization header of the Basic scheme says, None for any other."""
    scheme, _, text = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    key, percent, token = user.partition("%")
    return BasicCredentials(key, token if percent else None, password)


def password_time_ms(password: str) -> int | None:
    """Return when a password of the helper was made, None for another kind of password."""
    match = _PASSWORD.fullmatch(password)
    if match is None:
        return None
    try:
        moment = datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp() * 1_000)


def is_signed(password: str, secret: str, path: str, host: str, regions: Iterable[str]) -> bool:
    """Return whether the helper made a password with this secret key, for this path and host, in one of the regions."""
    match = _PASSWORD.fullmatch(password)
    if match is None:
        return False
    stamp, signature = match.groups()
    canonical = f"GIT\n{path}\n\nhost:{host}\n\nhost\n"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    for region in regions:
        scope = f"{stamp[:8]}/{region}/codecommit/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        key = SigningKeys().key(secret, stamp[:8], region, "codecommit")
        if hmac.compare_digest(hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), signature):
            return True
    return False
