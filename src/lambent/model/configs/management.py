"""How Lambda manages a function on its own: recursive loops, updates of the runtime."""

from __future__ import annotations

from msgspec import Struct


class RecursionConfig(Struct, frozen=True):
    """What happens when a function calls itself in a loop. `recursive_loop`: Allow or Terminate (AWS's default)."""

    account_id: str
    region: str
    name: str
    recursive_loop: str
    revision_id: str


class RuntimeManagementConfig(Struct, frozen=True):
    """When a version ($LATEST or a number) gets another build of its runtime: Auto, FunctionUpdate or Manual."""

    account_id: str
    region: str
    name: str
    qualifier: str
    update_runtime_on: str
    revision_id: str
    runtime_version_arn: str | None = None
