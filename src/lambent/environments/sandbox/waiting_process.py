"""How a process that waits for its function inside a sandbox is started, at every isolation level.

Such a process finds one end of a stream socket as descriptor 3, says "ready" on it when its runtime client is
exercised, and later gets one line of JSON, {"variables": {…}}: from then on it is the function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.environments.sandbox.java_flags import waiting_java
from lambent.environments.sandbox.node_flags import node_flags
from lambent.environments.sandbox.sandbox import RuntimeFamily, SandboxError

if TYPE_CHECKING:
    from lambent.environments.sandbox.sandbox import SandboxKind


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
