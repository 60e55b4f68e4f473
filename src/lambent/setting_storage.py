"""Settings of what is kept, shared and brought in: encryption, the store, the cluster, container images."""

from __future__ import annotations

from dataclasses import dataclass

from lambent.setting_bounds import Bounds
from lambent.setting_bounds import check_database_url as _check_database_url
from lambent.setting_bounds import check_registry as _check_registry
from lambent.setting_bounds import setting as _setting

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ImagesSettings:
    """Container images: where they come from and what they may be."""

    registries: tuple[str, ...] = _setting(
        (),
        "Registries that may be asked: NAME, or NAME=URL for one that answers for it; * stands for any text.",
        "",
        Bounds(check=_check_registry, text="NAME or NAME=URL", is_secret=True),
    )
    credentials: str = _setting("", "Credentials of registries, as docker login writes them (config.json).", "file")
    bytes_max: int = _setting(10 * 1024 * _MIB, "One image, unpacked.", "bytes", Bounds(_MIB, 1024 * 1024 * _MIB))
    inactive_seconds: int = _setting(
        30 * 86_400, "A function whose image nobody used for longer becomes Inactive; 0: never.", "seconds",
        Bounds(0, 10 * 365 * 86_400),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class EncryptionSettings:
    """What lies encrypted on disk beyond what always does (environment variables, secrets of access keys)."""

    at_rest: bool = _setting(
        False, "Keep the zips of functions and layers encrypted too. Their unpacked trees stay readable."
    )


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where everything durable lives that is no file."""

    url: str = _setting(
        "", "PostgreSQL that several daemons share, postgresql://USER@HOST/DATABASE; empty: SQLite in data_dir.",
        "URL", Bounds(check=_check_database_url, text="a postgresql URL", is_secret=True),
    )  # fmt: skip
    blobs: str = _setting(
        "", "With store.url: where packages lie, seen by all daemons; empty: in the database.", "directory"
    )


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Several daemons on one database."""

    slice: float = _setting(
        1.0, "This daemon's share of an account's concurrency; those of all daemons add up to 1.", "share",
        Bounds(0.001, 1.0, text="0.001 to 1"),
    )  # fmt: skip
