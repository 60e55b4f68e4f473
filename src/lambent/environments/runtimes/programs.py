"""Functions whose package is a program: custom runtimes, and go1.x in both of its ages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.environments.runtimes.plan import ENTRY_POINT_DENIED, ENTRY_POINT_MISSING, RuntimePlan
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily, SandboxKind
from lambent.environments.variables import SEARCH_PATH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.environments.runtimes.identifiers import RuntimeIdentifier
    from lambent.model.function import FunctionVersion

# The exit statuses are told apart from a program's own by outcomes.py.
_FIND_BOOTSTRAP = (
    'for f; do if [ -x "$f" ] && [ ! -d "$f" ]; then exec "$f"; fi; done; '
    f'for f; do if [ -f "$f" ]; then exit {ENTRY_POINT_DENIED}; fi; done; exit {ENTRY_POINT_MISSING}'
)

# A Go program whose library is older than 1.18 does not know the Runtime API: a program of ours stands between. It also
# tells what cannot be started.
_START_GO = 'if [ -x "$0" ] && grep -qs AWS_LAMBDA_RUNTIME_API "$0"; then exec "$0"; fi; exec "$@" "$0"'

# What is wrong with a wrapper is said in the words of AWS's runtimes, with their exit statuses.
_WRAP = (
    'if [ ! -f "$0" ]; then echo "$0: does not exist"; exit 127; fi; '
    'if [ ! -x "$0" ]; then echo "$0: is not an executable"; exit 126; fi; exec "$0" "$@"'
)


def plan_custom(identifier: RuntimeIdentifier, version: FunctionVersion, variables: Mapping[str, str]) -> RuntimePlan:
    """Run the bootstrap of the package, else of a layer. No wrapper script is looked for, as on AWS."""
    # Arguments, so that level 0 can name its own directories.
    return RuntimePlan(
        kind=SandboxKind(family=RuntimeFamily.EXEC, account_id=version.account_id),
        runtime_version=f"{identifier.name.replace('.', ':')}.v1",
        argv=("/bin/sh", "-c", _FIND_BOOTSTRAP, "bootstrap", "/var/task/bootstrap", "/opt/bootstrap"),
        variables=variables,
    )


def plan_go(
    version: FunctionVersion, variables: Mapping[str, str], python: Interpreter | None, client_directory: str
) -> RuntimePlan:
    """Run the executable that the handler names; an old one through our Python program, where there is a Python."""
    program = f"/var/task/{(version.handler or '').lstrip('/')}"
    if python is None:
        kind = SandboxKind(family=RuntimeFamily.EXEC, account_id=version.account_id)
        return RuntimePlan(kind=kind, runtime_version="go:1.x.v1", argv=(program,), variables=variables)
    kind = SandboxKind(
        family=RuntimeFamily.EXEC,
        account_id=version.account_id,
        interpreter=python,
        client_directory=client_directory,
    )
    # The Python is ours, not the function's.
    variables = {**variables, "PATH": SEARCH_PATH}
    between = (python.executable, "-I", "-S", "/var/runtime/lambent_go_rpc.py")
    argv = ("/bin/sh", "-c", _START_GO, program, *between)
    return RuntimePlan(kind=kind, runtime_version="go:1.x.v1", argv=argv, variables=variables)


def wrapped(version: FunctionVersion, argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return what starts a managed runtime: its own program, or the function's wrapper script with it as arguments."""
    wrapper = version.environment.get("AWS_LAMBDA_EXEC_WRAPPER")
    return ("/bin/sh", "-c", _WRAP, wrapper, *argv) if wrapper else argv
