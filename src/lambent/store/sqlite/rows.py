"""Function versions as rows and back. The document on disk is ours: a new service description does not change it."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from lambent.model.function import (
    CodeReference,
    FileSystemConfig,
    FunctionState,
    FunctionVersion,
    LogFormat,
    LoggingConfig,
    PackageType,
    UpdateStatus,
    VpcConfig,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from lambent.store.keys import InstallationKey

# Members that have a column of their own or need a form of their own; every other one goes into the document as it is.
_COLUMNS = frozenset({"account_id", "region", "name", "version", "revision_id"})
_CONVERTED = frozenset({"code", "environment", "environment_error", "logging", "vpc", "file_systems", "layers"})
_PLAIN = tuple(f.name for f in fields(FunctionVersion) if f.name not in _COLUMNS | _CONVERTED)


def row_of(function: FunctionVersion, key: InstallationKey) -> dict[str, Any]:
    """Return the parameters of an insert or update."""
    document = {name: getattr(function, name) for name in _PLAIN}
    document["unpacked_bytes"] = function.code.unpacked_bytes
    document["environment_error"] = function.environment_error
    document["logging"] = _members(function.logging)
    document["vpc"] = None if function.vpc is None else _members(function.vpc)
    document["file_systems"] = [_members(file_system) for file_system in function.file_systems]
    document["layers"] = function.layers
    return {
        "account_id": function.account_id,
        "region": function.region,
        "name": function.name,
        "version": function.version,
        "revision_id": function.revision_id,
        "is_unsettled": int(is_unsettled(function)),
        "code_sha256": function.code.sha256,
        "code_size_bytes": function.code.size_bytes,
        "document": json.dumps(document, separators=(",", ":")),
        "environment": _sealed(function, key),
    }


def function_of(row: sqlite3.Row, key: InstallationKey) -> FunctionVersion:
    """Return the function version of a row; a member that the document lacks has its default."""
    document: dict[str, Any] = json.loads(row["document"])
    plain = {name: document[name] for name in _PLAIN if name in document}
    vpc, error = document.get("vpc"), document.get("environment_error")
    plain["package_type"] = PackageType(plain["package_type"])
    plain["state"] = FunctionState(plain["state"])
    plain["last_update_status"] = UpdateStatus(plain["last_update_status"])
    identity = {name: row[name] for name in _COLUMNS}
    return FunctionVersion(
        **identity,
        **plain,
        code=CodeReference(row["code_sha256"], row["code_size_bytes"], document["unpacked_bytes"]),
        environment=_opened(row, key),
        environment_error=None if error is None else (error[0], error[1]),
        logging=_logging(document["logging"]),
        vpc=None if vpc is None else VpcConfig(**{**vpc, **_tuples(vpc, "subnet_ids", "security_group_ids")}),
        file_systems=tuple(FileSystemConfig(**members) for members in document.get("file_systems", ())),
        layers=tuple(document.get("layers", ())),
    )


def is_unsettled(function: FunctionVersion) -> bool:
    """Whether the function is between two states, as CreateFunction and the updates leave it."""
    return function.state is FunctionState.PENDING or function.last_update_status is UpdateStatus.IN_PROGRESS


def _sealed(function: FunctionVersion, key: InstallationKey) -> bytes | None:
    if not function.environment:
        return None
    text = json.dumps(dict(function.environment), separators=(",", ":"), ensure_ascii=False)
    return key.seal(
        text.encode("utf-8", "surrogatepass"), _context(function.account_id, function.region, function.name)
    )


def _opened(row: sqlite3.Row, key: InstallationKey) -> Mapping[str, str]:
    if row["environment"] is None:
        return {}
    plain = key.unseal(row["environment"], _context(row["account_id"], row["region"], row["name"]))
    opened: dict[str, str] = json.loads(plain.decode("utf-8", "surrogatepass"))
    return opened


def _context(account_id: str, region: str, name: str) -> str:
    """What a sealed environment is bound to: copied to another function's row it does not open."""
    return f"environment/{account_id}/{region}/{name}"


def _logging(members: dict[str, Any]) -> LoggingConfig:
    return LoggingConfig(**{**members, "log_format": LogFormat(members["log_format"])})


def _tuples(members: dict[str, Any], *names: str) -> dict[str, tuple[str, ...]]:
    return {name: tuple(members[name]) for name in names}


def _members(value: Any) -> dict[str, Any]:
    return {f.name: getattr(value, f.name) for f in fields(value)}
