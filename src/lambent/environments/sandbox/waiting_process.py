"""How a process that waits for its function inside a sandbox is started, at every isolation level.

Such a process finds one end of a stream socket as descriptor 3, says "ready" on it when its runtime client is
exercised, and later gets one line of JSON, {"variables": {…}}: from then on it is the function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.environments.sandbox.java_flags import waiting_java
from lambent.environments.sandbox.sandbox import RuntimeFamily, SandboxError

if TYPE_CHECKING:
    from lambent.environments.sandbox.sandbox import Interpreter, SandboxKind

# Without them node takes a fixed part of the host's memory. Source: observed on AWS (90 % and 5 % of the memory).
_OLD_SPACE_PERCENT = 90
_SEMI_SPACE_PERCENT = 5
# From here on a runtime can tell node from inside where ES modules are looked for.
_REGISTERS_LOADERS = (18, 19)


def waiting_argv(kind: SandboxKind, client_directory: str, archive: str | None = None) -> tuple[str, ...]:
    """Return what starts the waiting process of a kind; `client_directory` is the runtime client's as it sees it.

    `archive` is a file of its classes, for families that know such.

    Raises SandboxError: nothing waits in a sandbox of this kind, or it has no interpreter.
    """
    if kind.interpreter is None:
        raise SandboxError(f"a {kind.family} sandbox needs an interpreter")
    executable = kind.interpreter.executable
    match kind.family:
        case RuntimeFamily.NODEJS:
            flags = node_flags(kind.interpreter, kind.memory_mib, client_directory)
            return (executable, *flags, f"{client_directory}/bootstrap.mjs")
        case RuntimeFamily.RUBY:
            return (executable, f"{client_directory}/bootstrap.rb")
        case RuntimeFamily.JAVA:
            if kind.memory_mib is None:
                raise SandboxError("a java sandbox is made for one memory size")
            return waiting_java(kind.interpreter, kind.memory_mib, client_directory, archive)
        case _:
            raise SandboxError(f"no process waits in a {kind.family} sandbox")


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
