"""Who asks: account, region and principal from a signature, believed (accept) or verified (verify)."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from lambent.model.errors import LambdaError
from lambent.wire import sigv2, sigv4

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.api.messages import HttpRequest
    from lambent.clock import Clock
    from lambent.model.caller import Credentials

    FindCredentials = Callable[[str, str | None], Credentials | None]

_IDENTITIES_MAX = 4_096


class AuthenticationMode(StrEnum):
    """Setting auth.mode."""

    ACCEPT = "accept"
    VERIFY = "verify"


class AuthenticationOptions(NamedTuple):
    """Settings auth.* and account.*."""

    mode: AuthenticationMode
    default_account_id: str
    default_region: str
    clock_skew_seconds: int = 300


class Identity(NamedTuple):
    """Who asks. `service` is the signature's, empty without one. `is_known`: the access key is one of ours."""

    account_id: str
    region: str
    principal_arn: str
    service: str
    is_known: bool = False
    access_key_id: str = ""


class Authenticator:
    """Reads and checks signatures. Scope: process; its memories are bounded and only spare work.

    `find` answers the credentials of an access key (and session token), None for an unknown or revoked one; it may
    raise LambdaError itself, for example ExpiredTokenException. It must not block.
    """

    def __init__(self, options: AuthenticationOptions, find: FindCredentials, clock: Clock) -> None:
        self._options = options
        self._find = find
        self._clock = clock
        self._reader = sigv4.AuthorizationReader()
        self._keys = sigv4.SigningKeys()
        self._identities: dict[tuple[str, str, str, str | None], Identity] = {}

    def identify(self, request: HttpRequest) -> Identity:
        """Return who asks.

        Raises:
            sigv4.SignatureError: in mode verify, with AWS's codes (403).
        """
        path, _, query = request.target.partition("?")
        signed = sigv4.SignedRequest(request.method, path, query, request.headers)
        old = sigv2.read(query)
        if old is not None:
            return self._identify_old(signed, old)
        if self._options.mode is AuthenticationMode.ACCEPT:
            return self._believe(signed)
        return self._verify(signed, self._read(signed), request)

    def screen(self, request: HttpRequest) -> None:
        """Refuse a request whose head alone shows that `identify` will; for bodies too large to take from anybody.

        Raises:
            sigv4.SignatureError: in mode verify, with AWS's codes (403).
        """
        if self._options.mode is AuthenticationMode.VERIFY:
            path, _, query = request.target.partition("?")
            signed = sigv4.SignedRequest(request.method, path, query, request.headers)
            old = sigv2.read(query)
            if old is not None:
                self._identify_old(signed, old)
            else:
                self._credentials(self._read(signed))

    def _read(self, signed: sigv4.SignedRequest) -> sigv4.Authorization:
        authorization = self._reader.read(signed)
        if authorization is None:
            raise sigv4.SignatureError("MissingAuthenticationTokenException", "Missing Authentication Token")
        return authorization

    def _credentials(self, authorization: sigv4.Authorization) -> Credentials:
        credentials = self._find(authorization.scope.access_key_id, authorization.security_token)
        if credentials is None:
            raise sigv4.SignatureError(
                "UnrecognizedClientException", "The security token included in the request is invalid."
            )
        sigv4.check_time(authorization, self._clock.time_ms(), self._options.clock_skew_seconds)
        return credentials

    def _verify(
        self, signed: sigv4.SignedRequest, authorization: sigv4.Authorization, request: HttpRequest
    ) -> Identity:
        scope = authorization.scope
        credentials = self._credentials(authorization)
        if request.spooled is not None:
            body_sha256 = request.spooled.sha256
        elif request.incoming is not None:
            # Still on its way to another service: what was signed about it is believed, and checked as it passes.
            body_sha256 = request.headers.get("x-amz-content-sha256", sigv4.UNSIGNED_PAYLOAD)
        else:
            body_sha256 = hashlib.sha256(request.body).hexdigest()
        sigv4.verify(signed, authorization, body_sha256, credentials.secret_access_key, self._keys)
        principal = credentials.principal_arn or _root(credentials.account_id)
        return Identity(
            credentials.account_id,
            scope.region,
            principal,
            scope.service,
            is_known=True,
            access_key_id=scope.access_key_id,
        )

    def _identify_old(self, signed: sigv4.SignedRequest, old: sigv2.OldSignature) -> Identity:
        """Return who presigned a URL of S3 with the old signature, which names neither region nor service."""
        region = self._options.default_region
        if self._options.mode is AuthenticationMode.ACCEPT:
            return self._name(sigv4.Scope(old.access_key_id, "", region, "s3", ()), old.security_token)
        credentials = self._find(old.access_key_id, old.security_token)
        if credentials is None:
            raise sigv4.SignatureError(
                "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
            )
        sigv2.verify(signed, old, credentials.secret_access_key, self._clock.time_ms())
        principal = credentials.principal_arn or _root(credentials.account_id)
        return Identity(credentials.account_id, region, principal, "s3", is_known=True)

    def _believe(self, signed: sigv4.SignedRequest) -> Identity:
        options = self._options
        try:
            authorization = self._reader.read(signed)
        except sigv4.SignatureError:
            authorization = None
        if authorization is None:
            account_id = options.default_account_id
            return Identity(account_id, options.default_region, _root(account_id), "")
        scope, token = authorization.scope, authorization.security_token
        key = (scope.access_key_id, scope.region, scope.service, token)
        identity = self._identities.get(key)
        if identity is None:
            identity = self._name(scope, token)
            if len(self._identities) >= _IDENTITIES_MAX:
                self._identities.clear()
            self._identities[key] = identity
        return identity

    def _name(self, scope: sigv4.Scope, token: str | None) -> Identity:
        key_id = scope.access_key_id
        if len(key_id) == 12 and key_id.isascii() and key_id.isdigit():
            return Identity(key_id, scope.region, _root(key_id), scope.service, access_key_id=key_id)
        try:
            credentials = self._find(key_id, token)
        except LambdaError:
            credentials = None
        account_id = credentials.account_id if credentials else self._options.default_account_id
        principal = (credentials.principal_arn if credentials else "") or _root(account_id)
        is_known = credentials is not None
        return Identity(account_id, scope.region, principal, scope.service, is_known, key_id)


def _root(account_id: str) -> str:
    return f"arn:aws:iam::{account_id}:root"
