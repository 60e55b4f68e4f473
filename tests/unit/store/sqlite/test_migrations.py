"""Every earlier form of the database becomes today's, with what is in it."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from lambent.model.function import (
    CodeReference,
    FileSystemConfig,
    FunctionState,
    FunctionTags,
    LogFormat,
    LoggingConfig,
    UpdateStatus,
    VpcConfig,
)
from lambent.store import FunctionStore, InstallationKey, Resources
from lambent.store.contracts import StoreUnusableError
from lambent.store.sqlite.connection import connect
from lambent.store.sqlite.migrations import MIGRATIONS, SchemaTooNewError, migrate
from lambent.store.sqlite.records import SqliteRecordStore
from tests.unit.store.conftest import a_function

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = a_function(environment={"A": "B"})
RICH = a_function(
    "rich",
    code=CodeReference("a" * 64, 7, 8),
    revision_id="r9",
    runtime="python3.12",
    handler="a.b",
    description="ü\n",
    timeout_seconds=900,
    memory_mib=10_240,
    ephemeral_storage_mib=1024,
    architecture="arm64",
    environment={"A": "ü", "EMPTY": ""},
    environment_given=True,
    environment_error=("Code", "text"),
    logging=LoggingConfig(LogFormat.JSON, "DEBUG", "WARN", "/my/group"),
    tracing_mode="Active",
    kms_key_arn="arn:aws:kms:x",
    dead_letter_target_arn="arn:aws:sqs:x",
    state=FunctionState.FAILED,
    state_reason="why",
    state_reason_code="InvalidRuntime",
    last_update_status=UpdateStatus.IN_PROGRESS,
    last_update_status_reason="busy",
    last_update_status_reason_code="Creating",
    vpc=VpcConfig(("subnet-1", "subnet-2"), ("sg-1",), True),
    file_systems=(FileSystemConfig("arn", "/mnt/a"), FileSystemConfig("arn2", "/mnt/b", "AUTO")),
    snap_start_apply_on="PublishedVersions",
    source_kms_key_arn="arn:aws:kms:y",
)

# What forms 1 and 2 kept as a function's document, as they wrote it: never changed, as no form is.
PLAIN_DOCUMENT: dict[str, Any] = {
    "role": "arn:aws:iam::000000000000:role/r",
    "configuration_id": "c1",
    "last_modified_ms": 1,
    "package_type": "Zip",
    "runtime": None,
    "handler": None,
    "description": "",
    "timeout_seconds": 3,
    "memory_mib": 128,
    "ephemeral_storage_mib": 512,
    "architecture": "x86_64",
    "tracing_mode": "PassThrough",
    "kms_key_arn": None,
    "dead_letter_target_arn": None,
    "state": "Active",
    "state_reason": None,
    "state_reason_code": None,
    "last_update_status": "Successful",
    "last_update_status_reason": None,
    "last_update_status_reason_code": None,
    "environment_given": False,
    "snap_start_apply_on": "None",
    "source_kms_key_arn": None,
    "unpacked_bytes": 200,
    "environment_error": None,
    "logging": {
        "log_format": "Text",
        "application_log_level": None,
        "system_log_level": None,
        "log_group": None,
    },
    "vpc": None,
    "file_systems": [],
    "layers": [],
}
RICH_DOCUMENT = PLAIN_DOCUMENT | {
    "runtime": "python3.12",
    "handler": "a.b",
    "description": "ü\n",
    "timeout_seconds": 900,
    "memory_mib": 10_240,
    "ephemeral_storage_mib": 1024,
    "architecture": "arm64",
    "tracing_mode": "Active",
    "kms_key_arn": "arn:aws:kms:x",
    "dead_letter_target_arn": "arn:aws:sqs:x",
    "state": "Failed",
    "state_reason": "why",
    "state_reason_code": "InvalidRuntime",
    "last_update_status": "InProgress",
    "last_update_status_reason": "busy",
    "last_update_status_reason_code": "Creating",
    "environment_given": True,
    "snap_start_apply_on": "PublishedVersions",
    "source_kms_key_arn": "arn:aws:kms:y",
    "unpacked_bytes": 8,
    "environment_error": ["Code", "text"],
    "logging": {
        "log_format": "JSON",
        "application_log_level": "DEBUG",
        "system_log_level": "WARN",
        "log_group": "/my/group",
    },
    "vpc": {
        "subnet_ids": ["subnet-1", "subnet-2"],
        "security_group_ids": ["sg-1"],
        "ipv6_allowed_for_dual_stack": True,
    },
    "file_systems": [
        {"arn": "arn", "local_mount_path": "/mnt/a", "direct_s3_read": None},
        {"arn": "arn2", "local_mount_path": "/mnt/b", "direct_s3_read": "AUTO"},
    ],
}


def fill_form_1(connection: sqlite3.Connection, key: InstallationKey) -> None:
    for function, document, is_unsettled in ((PLAIN, PLAIN_DOCUMENT, 0), (RICH, RICH_DOCUMENT, 1)):
        environment = json.dumps(dict(function.environment), separators=(",", ":"), ensure_ascii=False).encode()
        row = (
            function.account_id,
            function.region,
            function.name,
            "$LATEST",
            function.revision_id,
            is_unsettled,
            function.code.sha256,
            function.code.size_bytes,
            json.dumps(document, separators=(",", ":")),
            key.seal(environment, f"environment/{function.account_id}/{function.region}/{function.name}"),
        )
        connection.execute("INSERT INTO functions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def fill_form_2(connection: sqlite3.Connection) -> None:
    for function, tags in ((PLAIN, {"k": "v"}), (RICH, {})):
        row = (function.account_id, function.region, function.name, json.dumps(tags))
        connection.execute("INSERT INTO function_tags VALUES (?, ?, ?, ?)", row)


def forms(connection: sqlite3.Connection) -> list[str]:
    return sorted(row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))


@pytest.mark.parametrize("start", range(3))
async def test_from_every_form_that_kept_functions_in_tables_of_their_own(
    tmp_path: Path, key: InstallationKey, start: int
) -> None:
    path = tmp_path / "lambent.db"
    connection = connect(str(path))
    migrate(connection, up_to=start)
    if start >= 1:
        fill_form_1(connection, key)
    if start >= 2:
        fill_form_2(connection)
    connection.close()

    records = SqliteRecordStore(path)
    store = FunctionStore(Resources(records, key))
    for function in (PLAIN, RICH):
        assert await store.get(function.arn) == (function if start >= 1 else None)
    assert await store.get_tags(PLAIN.arn) == {0: None, 1: {}, 2: {"k": "v"}}[start]
    if start >= 1:
        assert await store.usage("000000000000", "us-east-1") == (2, 107)
        assert await store.code_in_use() == {"0" * 64, "a" * 64}
        assert await store.list_unsettled() == [RICH]
        await store.update(replace(PLAIN, revision_id="r2"), expected_revision_id="r1")
        tags = FunctionTags(RICH.account_id, RICH.region, RICH.name, {"new": "tag"})
        await store.resources.commit(store.resources.put_over(tags))
        assert await store.delete(PLAIN.arn)
    await records.close()


@pytest.mark.parametrize("start", range(3, len(MIGRATIONS) + 1))
async def test_from_every_form_of_records(tmp_path: Path, key: InstallationKey, start: int) -> None:
    path = tmp_path / "lambent.db"
    connection = connect(str(path))
    migrate(connection, up_to=2)
    fill_form_1(connection, key)
    fill_form_2(connection)
    migrate(connection, up_to=start)
    connection.close()

    records = SqliteRecordStore(path)
    store = FunctionStore(Resources(records, key))
    listed = await store.list_functions("000000000000", "us-east-1", after_name=None, limit=10)
    assert list(listed) == [PLAIN, RICH]
    assert await store.get_tags(PLAIN.arn) == {"k": "v"}
    await records.close()


@pytest.mark.parametrize("start", range(len(MIGRATIONS) + 1))
def test_every_way_ends_in_the_same_form(tmp_path: Path, start: int) -> None:
    fresh, migrated = connect(str(tmp_path / "fresh.db")), connect(str(tmp_path / "migrated.db"))
    migrate(migrated, up_to=start)
    migrate(migrated)
    migrate(fresh)
    assert forms(fresh) == forms(migrated)
    fresh.close()
    migrated.close()


def test_a_newer_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lambent.db"
    connection = connect(str(path))
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(SchemaTooNewError, match="use a newer Lambent"):
        SqliteRecordStore(path)


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lambent.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreUnusableError, match="cannot be used: file is not a database"):
        SqliteRecordStore(tmp_path / "lambent.db")


def test_a_step_that_fails_leaves_nothing(tmp_path: Path) -> None:
    connection = connect(str(tmp_path / "lambent.db"))
    broken = (MIGRATIONS[0], "CREATE TABLE half (a); INSERT INTO nowhere VALUES (1);")
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, steps=broken)
    assert not any("half" in form for form in forms(connection))
    assert connection.execute("PRAGMA user_version").fetchone()[0] == 1
    connection.close()
