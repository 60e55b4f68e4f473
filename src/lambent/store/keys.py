"""Secrets of the installation: its key, what is sealed with it, access keys, and credentials of execution roles."""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from lambent.model.caller import Credentials
from lambent.model.errors import LambdaError, ServiceError
from lambent.store.contracts import StoreUnusableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lambent.clock import Clock

_KEY_BYTES = 32
_NONCE_BYTES = 12
_SESSION_SECONDS = 12 * 3600
# How old the daemon's view of the access keys may be; `lambent keys` promises "within a second".
_LOOK_AGAIN_NS = 250_000_000


class DamagedKeyError(StoreUnusableError, ValueError):
    """The key file does not hold a key."""


class InstallationKey:
    """The one secret everything else hangs on. Scope: installation. After a crash: the same.

    `keys/` is 0700, `keys/installation.key` 0600. Who loses it loses every sealed value.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) != _KEY_BYTES:
            raise DamagedKeyError("The installation's key (keys/installation.key) is damaged: bring back its 32 bytes.")
        self._secret = secret
        self._cipher = AESGCM(self.derive("seal"))

    @classmethod
    def open(cls, keys_directory: str | Path) -> InstallationKey:
        """Return the installation's key; the first call makes it, whole or not at all, also with two at once.

        Raises:
            OSError: it cannot be made or read.
            DamagedKeyError: it is not a key.
        """
        directory = Path(keys_directory)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        path = directory / "installation.key"
        if not path.exists():
            # link() refuses an existing name: of two first starts one wins, and both read the winner's key.
            fresh = directory / f".installation.key.{secrets.token_hex(8)}"
            try:
                _write_durably(fresh, secrets.token_bytes(_KEY_BYTES))
                with contextlib.suppress(FileExistsError):
                    os.link(fresh, path)
            finally:
                fresh.unlink(missing_ok=True)
            _sync_directory(directory)
        return cls(path.read_bytes())

    def derive(self, purpose: str) -> bytes:
        """Return a key of 32 bytes of its own for a purpose."""
        return hmac.new(self._secret, f"lambent/{purpose}".encode(), hashlib.sha256).digest()

    def seal(self, plain: bytes, context: str) -> bytes:
        """Return nonce and AES-256-GCM text; it opens only with the same `context`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, context.encode())

    def unseal(self, sealed: bytes, context: str) -> bytes:
        """Return what was sealed.

        Raises:
            ServiceError: another key or context sealed it, or it was changed (500).
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
        except InvalidTag:
            raise ServiceError("A stored secret cannot be opened with this installation's key.") from None

    def sign(self, purpose: str, text: str) -> str:
        """Return an HMAC-SHA256 of `text`, base64url without padding."""
        return _to_base64(hmac.new(self.derive(purpose), text.encode(), hashlib.sha256).digest())

    def is_signed(self, purpose: str, text: str, signature: str) -> bool:
        """Whether `signature` is ours, compared in constant time."""
        return hmac.compare_digest(self.sign(purpose, text).encode(), signature.encode())


class AccessKeyEntry(Struct, frozen=True):
    """One access key as `lambent keys list` shows it."""

    access_key_id: str
    account_id: str
    created_ms: int


class AccessKeys:
    """Long-lived access keys and derived credentials. Scope: installation. After a crash: as written.

    The file `keys/access_keys.json` may be changed by another process (`lambent keys`) while the daemon runs; a
    change is seen within a second. Secrets in it are sealed.
    """

    def __init__(self, keys_directory: str | Path, key: InstallationKey, clock: Clock) -> None:
        self._directory = Path(keys_directory)
        self._path = self._directory / "access_keys.json"
        self._key = key
        self._clock = clock
        self._known: dict[str, Credentials] = {}
        self._state: tuple[int, int, int] | None = None
        self._looked_ns: int | None = None

    def create(self, account_id: str) -> Credentials:
        """Return new access keys for an account (12 digits); they are on disk when this returns.

        Raises:
            ValueError: the account is not 12 digits.
            OSError: the file cannot be written; nothing was changed.
        """
        if len(account_id) != 12 or not (account_id.isascii() and account_id.isdigit()):
            raise ValueError(f"an account has 12 digits, not {account_id!r}")
        access_key_id = "AKIA" + base64.b32encode(secrets.token_bytes(10)).decode()
        secret = base64.b64encode(secrets.token_bytes(30)).decode()
        with self._locked():
            entries = self._read()
            entries[access_key_id] = {
                "account": account_id,
                "created_ms": self._clock.time_ms(),
                "secret": _to_base64(self._key.seal(secret.encode(), f"access-key/{access_key_id}/{account_id}")),
            }
            self._write(entries)
        return _long_lived(access_key_id, secret, account_id)

    def entries(self) -> list[AccessKeyEntry]:
        """Return all access keys, oldest first, without secrets."""
        found = [AccessKeyEntry(key, entry["account"], entry["created_ms"]) for key, entry in self._read().items()]
        return sorted(found, key=lambda entry: (entry.created_ms, entry.access_key_id))

    def revoke(self, access_key_id: str) -> bool:
        """Remove an access key; False when there is none such."""
        with self._locked():
            entries = self._read()
            if entries.pop(access_key_id, None) is None:
                return False
            self._write(entries)
        return True

    def find(self, access_key_id: str, session_token: str | None) -> Credentials | None:
        """Return the credentials of an access key id, or None when they are unknown, revoked or forged.

        Raises:
            LambdaError: ExpiredTokenException (403), the session token's time is over.
        """
        if session_token is not None:
            return self._of_session(access_key_id, session_token)
        self._look_again()
        if access_key_id not in self._known:
            # A key made a moment ago is valid at once; only a revoked one may live out the look's second.
            self._looked_ns = None
            self._look_again()
        return self._known.get(access_key_id)

    def issue_for_role(self, account_id: str, role_arn: str, session_name: str) -> Credentials:
        """Return credentials of a session of an execution role, valid for 12 hours and kept nowhere; each time others.

        Source: recorded (test_lambda_different_iam_keys_environment: every environment has keys of its own).
        """
        members = {
            "account": account_id,
            "role": role_arn,
            "name": session_name,
            "expires": self._clock.time_ms() // 1000 + _SESSION_SECONDS,
            "session": secrets.token_hex(8),
        }
        payload = _to_base64(json.dumps(members, separators=(",", ":")).encode())
        return self._derive(payload, account_id, _session_arn(role_arn, session_name))

    def _of_session(self, access_key_id: str, session_token: str) -> Credentials | None:
        payload, dot, signature = session_token.rpartition(".")
        if not dot or not session_token.isascii() or not self._key.is_signed("session-token", payload, signature):
            return None
        # The signature is ours, and so is the form of what it covers.
        members = json.loads(_from_base64(payload))
        principal = _session_arn(members["role"], members["name"])
        credentials = self._derive(payload, members["account"], principal)
        if credentials.access_key_id != access_key_id:
            return None
        if members["expires"] <= self._clock.time_ms() // 1000:
            raise LambdaError("The security token included in the request is expired", code="ExpiredTokenException")
        return credentials

    def _derive(self, payload: str, account_id: str, principal_arn: str) -> Credentials:
        identity = hmac.new(self._key.derive("session-id"), payload.encode(), hashlib.sha256).digest()
        secret = hmac.new(self._key.derive("session-secret"), payload.encode(), hashlib.sha256).digest()
        return Credentials(
            access_key_id="ASIA" + base64.b32encode(identity[:10]).decode(),
            secret_access_key=base64.b64encode(secret[:30]).decode(),
            account_id=account_id,
            session_token=f"{payload}.{self._key.sign('session-token', payload)}",
            principal_arn=principal_arn,
        )

    def _look_again(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if self._looked_ns is not None and now_ns - self._looked_ns < _LOOK_AGAIN_NS:
            return
        self._looked_ns = now_ns
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._known, self._state = {}, None
            return
        # Every change is a new file, so the inode tells also two changes within one tick of the file system's clock.
        state = (status.st_ino, status.st_mtime_ns, status.st_size)
        if state == self._state:
            return
        known = {}
        for access_key_id, entry in self._read().items():
            sealed = _from_base64(entry["secret"])
            secret = self._key.unseal(sealed, f"access-key/{access_key_id}/{entry['account']}").decode()
            known[access_key_id] = _long_lived(access_key_id, secret, entry["account"])
        self._known, self._state = known, state

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            entries: dict[str, dict[str, Any]] = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        return entries

    def _write(self, entries: dict[str, dict[str, Any]]) -> None:
        fresh = self._directory / f".access_keys.{secrets.token_hex(8)}"
        try:
            _write_durably(fresh, json.dumps(entries, indent=1).encode())
            fresh.rename(self._path)
        finally:
            fresh.unlink(missing_ok=True)
        _sync_directory(self._directory)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._directory / "access_keys.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _give_to_owner(descriptor, self._directory)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _session_arn(role_arn: str, session_name: str) -> str:
    """Return the ARN of a role's session, which names the role without its path; what is no role's stays as it is.

    Source: IAM user guide, "Identifiers": arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION.
    """
    head, _, resource = role_arn.rpartition(":")
    parts = head.split(":")
    if len(parts) != 5 or parts[2] != "iam" or not resource.startswith("role/"):
        return role_arn
    return f"arn:{parts[1]}:sts::{parts[4]}:assumed-role/{resource.rpartition('/')[2]}/{session_name}"


def _long_lived(access_key_id: str, secret: str, account_id: str) -> Credentials:
    return Credentials(access_key_id, secret, account_id, principal_arn=f"arn:aws:iam::{account_id}:root")


def _write_durably(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        _give_to_owner(descriptor, path.parent)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _give_to_owner(descriptor: int, directory: Path) -> None:
    """Let the directory's owner read what root writes: `lambent keys` may run as root, the daemon never does."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _to_base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _from_base64(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise ServiceError("A stored key is damaged.") from None
