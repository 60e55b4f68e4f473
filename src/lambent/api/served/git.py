"""The door of git: which repository a request is for, who asks, and the answer as git reads it.

`http://HOST/v1/repos/NAME` is the path that CodeCommit has; `/v1/repos/REGION/NAME` names another region.
"""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import unquote

from lambent.api.messages import BodyPlan, HttpResponse
from lambent.model.configs.repository import GitRequest
from lambent.model.errors import LambdaError
from lambent.wire.others.git_password import is_signed, password_time_ms, read_basic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from lambent.api.messages import HttpRequest
    from lambent.clock import Clock
    from lambent.model.caller import Credentials

_PATH = re.compile(r"/v1/repos/(?:([a-z0-9-]+)/)?([^/]+?)(?:\.git)?(/info/refs|/git-upload-pack|/git-receive-pack)")
_HOST = re.compile(r"git-codecommit\.([a-z0-9-]+)\.")
_NOTHING = BodyPlan(0, 0)
_MEMORY_BYTES_MAX = 262_144
# What one push may weigh. Source: user guide, "Quotas in AWS CodeCommit": 2 GB for one file, 6 GB in a push.
_PUSH_BYTES_MAX = 6 * 1024**3
_ACCOUNT = re.compile(r"[0-9]{12}")
_CHALLENGE = (("WWW-Authenticate", 'Basic realm="CodeCommit"'),)
_PLAIN = (("Content-Type", "text/plain; charset=utf-8"),)


class GitReply(Protocol):
    """An answer of who keeps the repositories."""

    @property
    def status(self) -> int:
        """Its status."""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Its headers."""

    @property
    def body(self) -> AsyncIterator[bytes] | bytes:
        """Its body."""


class GitOptions(NamedTuple):
    """Plain values, and who knows access keys: see authentication.py. `is_verifying`: auth.mode is verify."""

    is_verifying: bool
    default_account_id: str
    default_region: str
    clock_skew_seconds: int
    spool_directory: Path
    find_credentials: Callable[[str, str | None], Credentials | None]


class _Asker(NamedTuple):
    account_id: str
    principal_arn: str
    is_named: bool


class GitDoor:
    """Answers git. Scope: process; keeps nothing. `serve` takes a GitRequest and returns None for no repository."""

    def __init__(
        self, options: GitOptions, serve: Callable[[GitRequest], Awaitable[GitReply | None]], clock: Clock
    ) -> None:
        self._options = options
        self._serve = serve
        self._clock = clock

    def plan(self, request: HttpRequest) -> BodyPlan:
        """Say how the body is taken: packs in a file, of strangers nothing."""
        if _PATH.fullmatch(request.path) is None or self._asker(request) is None:
            return _NOTHING
        return BodyPlan(_MEMORY_BYTES_MAX, _PUSH_BYTES_MAX, self._options.spool_directory)

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Return the answer, as git reads it."""
        match = _PATH.fullmatch(request.path)
        asker = self._asker(request)
        if asker is None:
            return HttpResponse(401, (*_PLAIN, *_CHALLENGE), b"An access key and its secret are required.\n")
        if match is None:
            return _refusal(404, "No repository is asked for.")
        if request.is_oversize:
            return _refusal(413, "The push is too large.")
        call = GitRequest(
            account_id=asker.account_id,
            region=match[1] or self._region(request),
            name=unquote(match[2]),
            method=request.method,
            path=match[3],
            query=request.query,
            headers=request.headers,
            body=request.body if request.spooled is None else request.spooled.path,
            pusher=asker.principal_arn,
        )
        try:
            reply = await self._serve(call)
        except LambdaError as error:
            return _refusal(501, error.message)
        if reply is None and not asker.is_named:
            # It may be another account's: git names one only when it is asked to.
            return HttpResponse(401, (*_PLAIN, *_CHALLENGE), b"There is no such repository in the default account.\n")
        if reply is None:
            return _refusal(404, f"{call.name} does not exist")
        return HttpResponse(reply.status, reply.headers, reply.body)

    def _region(self, request: HttpRequest) -> str:
        match = _HOST.match(request.headers.get("host", "").lower())
        return match[1] if match is not None else self._options.default_region

    def _asker(self, request: HttpRequest) -> _Asker | None:
        """Return who asks, None for somebody who must say so first."""
        options = self._options
        given = read_basic(request.headers.get("authorization"))
        if given is None:
            account_id = options.default_account_id
            return None if options.is_verifying else _Asker(account_id, _root(account_id), is_named=False)
        try:
            credentials = options.find_credentials(given.access_key_id, given.session_token)
        except LambdaError:
            credentials = None
        if credentials is not None and (
            not options.is_verifying or self._is_right(request, given.password, credentials)
        ):
            principal = credentials.principal_arn or _root(credentials.account_id)
            return _Asker(credentials.account_id, principal, is_named=True)
        if options.is_verifying:
            return None
        is_account = _ACCOUNT.fullmatch(given.access_key_id) is not None
        account_id = given.access_key_id if is_account else options.default_account_id
        return _Asker(account_id, _root(account_id), is_named=True)

    def _is_right(self, request: HttpRequest, password: str, credentials: Credentials) -> bool:
        """Whether a password is the secret key, or what CodeCommit's credential helper made of it for this path."""
        secret = credentials.secret_access_key
        made_ms = password_time_ms(password)
        if made_ms is None:
            return hmac.compare_digest(password.encode(), secret.encode())
        if abs(self._clock.time_ms() - made_ms) > self._options.clock_skew_seconds * 1_000:
            return False
        match = _PATH.fullmatch(request.path)
        if match is None:
            return False
        path = request.path.removesuffix(match[3])
        regions = dict.fromkeys((self._region(request), match[1] or "", self._options.default_region))
        host = request.headers.get("host", "").partition(":")[0]
        return is_signed(password, secret, path, host, filter(None, regions))


def _refusal(status: int, text: str) -> HttpResponse:
    return HttpResponse(status, _PLAIN, f"{text}\n".encode())


def _root(account_id: str) -> str:
    return f"arn:aws:iam::{account_id}:root"
