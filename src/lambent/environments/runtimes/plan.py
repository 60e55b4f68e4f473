"""How a function version is run on this machine, or why it cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.environments.sandbox.sandbox import SandboxKind, SandboxRoot

# Exit statuses of the program that looks for a bootstrap: none is there, or it may not be executed.
ENTRY_POINT_MISSING = 214
ENTRY_POINT_DENIED = 213


class RuntimePlan(Struct, frozen=True):
    """What to prewarm and what to start.

    `argv` is empty for the pooled families. `runtime_version` is INIT_START's Runtime Version ("python:3.11.v7").
    `notice` is said once in the function's log (the nearest interpreter was taken). `variables` are the runtime
    family's own (AWS_EXECUTION_ENV, NODE_PATH …), or an image's. `root`: it runs in a root of its own.
    """

    kind: SandboxKind
    runtime_version: str
    argv: tuple[str, ...] = ()
    notice: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    root: SandboxRoot | None = None


class Unavailable(Struct, frozen=True):
    """This machine cannot run it; `reason` says what to install."""

    reason: str
