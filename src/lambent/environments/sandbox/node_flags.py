"""Which flags node is started with: for a waiting sandbox as for a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambent.environments.sandbox.sandbox import Interpreter

# Without them node takes a fixed part of the host's memory. Source: observed on AWS (90 % and 5 % of the memory).
_OLD_SPACE_PERCENT = 90
_SEMI_SPACE_PERCENT = 5
# From here on a runtime can tell node from inside where ES modules are looked for.
_REGISTERS_LOADERS = (18, 19)


def node_flags(interpreter: Interpreter, memory_mib: int | None, client_directory: str) -> tuple[str, ...]:
    """Return node's flags for a function's memory (None: not known yet) and its runtime client's directory."""
    flags = ["--max-http-header-size=81920"]
    if memory_mib is not None:
        flags.append(f"--max-old-space-size={memory_mib * _OLD_SPACE_PERCENT // 100}")
        flags.append(f"--max-semi-space-size={max(1, memory_mib * _SEMI_SPACE_PERCENT // 100)}")
    version = tuple(int(part) for part in interpreter.version.split(".")[:2])
    if version < _REGISTERS_LOADERS:
        # Each start would say that loaders are experimental; the client prints the function's warnings itself.
        flags += ["--no-warnings", f"--experimental-loader={client_directory}/node_path.mjs"]
    return tuple(flags)
