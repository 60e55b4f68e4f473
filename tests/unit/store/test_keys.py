"""The installation's key, access keys, role credentials."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
from typing import TYPE_CHECKING

import pytest

from lambent.model.errors import LambdaError, ServiceError
from lambent.store import AccessKeys, InstallationKey
from tests.unit.store.conftest import JumpingClock

if TYPE_CHECKING:
    from pathlib import Path

ROLE = "arn:aws:iam::000000000000:role/r"


def open_and_tell(directory: str) -> bytes:
    """Runs in a process of its own."""
    return InstallationKey.open(directory).derive("test")


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    keys = tmp_path / "deep" / "keys"
    first = InstallationKey.open(keys)
    assert InstallationKey.open(keys).derive("x") == first.derive("x") != first.derive("y")
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert [(path.name, stat.S_IMODE(path.stat().st_mode)) for path in keys.iterdir()] == [("installation.key", 0o600)]


@pytest.mark.slow
def test_two_first_starts_agree(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert len(set(pool.map(open_and_tell, [str(tmp_path / "keys")] * 8, chunksize=1))) == 1


def test_a_damaged_key_is_refused(tmp_path: Path) -> None:
    InstallationKey.open(tmp_path)
    (tmp_path / "installation.key").write_bytes(b"short")
    with pytest.raises(ValueError, match="damaged"):
        InstallationKey.open(tmp_path)


def test_what_is_sealed_opens_only_in_its_context(key: InstallationKey) -> None:
    sealed = key.seal(b"secret", "here")
    assert key.unseal(sealed, "here") == b"secret"
    assert b"secret" not in sealed
    assert key.seal(b"secret", "here") != sealed
    changed = bytes([sealed[0] ^ 1]) + sealed[1:]
    for text, context in ((sealed, "there"), (changed, "here"), (b"", "here")):
        with pytest.raises((ServiceError, ValueError)):
            key.unseal(text, context)


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def access_keys(tmp_path: Path, key: InstallationKey, clock: JumpingClock) -> AccessKeys:
    return AccessKeys(tmp_path / "keys", key, clock)


def test_access_keys_are_made_listed_and_revoked(tmp_path: Path, access_keys: AccessKeys, clock: JumpingClock) -> None:
    first = access_keys.create("111111111111")
    clock.now_ms += 1
    second = access_keys.create("222222222222")
    assert [entry.access_key_id for entry in access_keys.entries()] == [first.access_key_id, second.access_key_id]
    assert access_keys.find(first.access_key_id, None) == first
    assert (first.account_id, len(first.access_key_id), first.session_token) == ("111111111111", 20, None)
    file = tmp_path / "keys" / "access_keys.json"
    assert first.secret_access_key not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert access_keys.revoke(first.access_key_id)
    assert not access_keys.revoke(first.access_key_id)
    assert [entry.access_key_id for entry in access_keys.entries()] == [second.access_key_id]


def test_another_process_keys_are_valid_at_once_and_revoked_within_a_second(
    tmp_path: Path, access_keys: AccessKeys, key: InstallationKey, clock: JumpingClock
) -> None:
    command = AccessKeys(tmp_path / "keys", key, clock)
    assert access_keys.find("AKIA", None) is None
    made = command.create("111111111111")
    assert access_keys.find(made.access_key_id, None) == made
    command.revoke(made.access_key_id)
    clock.now_ms += 1000
    assert access_keys.find(made.access_key_id, None) is None


def test_what_root_writes_belongs_to_the_daemon(tmp_path: Path, access_keys: AccessKeys) -> None:
    keys = tmp_path / "keys"
    if os.geteuid() == 0:
        os.chown(keys, 64990, 64990)
    access_keys.create("111111111111")
    owner = keys.stat().st_uid
    assert {(keys / name).stat().st_uid for name in ("access_keys.json", "access_keys.lock")} == {owner}


@pytest.mark.parametrize("account_id", ["", "1", "1" * 13, "a" * 12, "\u0661" * 12])
def test_an_account_has_twelve_digits(access_keys: AccessKeys, account_id: str) -> None:
    with pytest.raises(ValueError, match="12 digits"):
        access_keys.create(account_id)


def test_role_credentials_are_derived(tmp_path: Path, access_keys: AccessKeys, clock: JumpingClock) -> None:
    issued = access_keys.issue_for_role("111111111111", ROLE, "f")
    another = access_keys.issue_for_role("111111111111", ROLE, "f")
    assert another.access_key_id != issued.access_key_id
    assert another.secret_access_key != issued.secret_access_key
    assert another.session_token != issued.session_token
    assert access_keys.find(another.access_key_id, another.session_token) == another
    after_restart = AccessKeys(tmp_path / "keys", InstallationKey.open(tmp_path / "keys"), clock)
    assert after_restart.find(issued.access_key_id, issued.session_token) == issued
    assert issued.principal_arn == "arn:aws:sts::000000000000:assumed-role/r/f"
    clock.now_ms += 2 * 3600 * 1000
    assert access_keys.find(issued.access_key_id, issued.session_token) == issued
    clock.now_ms += 10 * 3600 * 1000
    with pytest.raises(LambdaError, match="expired") as expired:
        access_keys.find(issued.access_key_id, issued.session_token)
    assert expired.value.code == "ExpiredTokenException"


@pytest.mark.parametrize(
    ("role", "principal"),
    [
        ("arn:aws:iam::111111111111:role/r", "arn:aws:sts::111111111111:assumed-role/r/f"),
        ("arn:aws-cn:iam::111111111111:role/a/path/r", "arn:aws-cn:sts::111111111111:assumed-role/r/f"),
        ("arn:aws:iam::111111111111:user/u", "arn:aws:iam::111111111111:user/u"),
        ("r", "r"),
    ],
)
def test_a_session_has_its_role_s_name(access_keys: AccessKeys, role: str, principal: str) -> None:
    assert access_keys.issue_for_role("111111111111", role, "f").principal_arn == principal


def test_forged_tokens_are_unknown(tmp_path: Path, access_keys: AccessKeys, clock: JumpingClock) -> None:
    issued = access_keys.issue_for_role("111111111111", ROLE, "f")
    other = access_keys.issue_for_role("222222222222", ROLE, "f")
    foreign = AccessKeys(tmp_path, InstallationKey.open(tmp_path / "foreign"), clock).issue_for_role(
        "111111111111", ROLE, "f"
    )
    assert issued.session_token is not None
    tampered = issued.session_token[:-2] + ("AA" if issued.session_token[-2:] != "AA" else "BB")
    tokens = (tampered, other.session_token, foreign.session_token, "", ".", "x.y", "é.é", json.dumps({}))
    assert {access_keys.find(issued.access_key_id, token) for token in tokens} == {None}
