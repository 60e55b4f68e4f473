"""The .NET of this machine: where it lies, and how AWS's runtime starts a function under it.

A root holds the program `dotnet` and any number of versions below shared/. A function that is a class library needs
Amazon.Lambda.RuntimeSupport beside it, AWS's own client, taken from where NuGet keeps packages. One that is a program
(its handler names an assembly without a type) brings its client itself; compiled ahead of time it needs nothing.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from lambent.environments.runtimes.plan import RuntimePlan, Unavailable
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily, SandboxKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lambent.environments.runtimes.identifiers import RuntimeIdentifier
    from lambent.model.function import FunctionVersion

SUPPORT_FILE = "Amazon.Lambda.RuntimeSupport.dll"
_SUPPORT_PACKAGE = "amazon.lambda.runtimesupport"
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_TARGET = re.compile(r"net(?:coreapp)?(\d+)\.\d+")
_SYSTEM_ROOTS = ("/usr/share/dotnet", "/usr/lib/dotnet", "/usr/lib64/dotnet", "/usr/local/share/dotnet", "/opt/dotnet")
_HOME_ROOTS = (".dotnet", ".asdf/installs/dotnet-core/*", ".local/share/mise/installs/dotnet/*")

# Arguments: handler, dotnet ("" without one), the package's directory, the client of AWS. Exit statuses are AWS's.
# Source: AWS's .NET runtime, observed: which file is found how, and what is executed.
_START = """\
handler=$1 dotnet=$2 task=$3 support=$4
find_one() {
  [ -f "$1" ] || { pattern=$2; set -- "$task"/*"$2"; [ "$#" = 1 ] && [ -f "$1" ]; } || {
    echo "the package needs exactly one file *$pattern: publish the project, not only its assembly" >&2; return 1; }
  found=$1
}
case $handler in
*:*)
  name=${LAMBDA_DOTNET_MAIN_ASSEMBLY:-${handler%%:*}}
  name=${name%.dll}
  find_one "$task/$name.deps.json" .deps.json || exit 105
  deps=$found
  find_one "$task/$name.runtimeconfig.json" .runtimeconfig.json || exit 106
  set -- "$dotnet" exec --depsfile "$deps" --runtimeconfig "$found" "$support" "$handler"
  ;;
*)
  program=$task/${handler%.dll}
  if [ -f "$program.dll" ] && [ -n "$dotnet" ]; then
    set -- "$dotnet" exec "$program.dll"
  elif [ -f "$program" ]; then
    set -- "$program"
  elif [ -f "$program.dll" ]; then
    echo "$program.dll needs a .NET runtime, and this machine has none" >&2
    exit 104
  else
    echo "neither $program.dll nor $program is in the package" >&2
    exit 104
  fi
  ;;
esac
if [ -z "$AWS_LAMBDA_EXEC_WRAPPER" ]; then exec "$@"; fi
if [ ! -f "$AWS_LAMBDA_EXEC_WRAPPER" ]; then echo "$AWS_LAMBDA_EXEC_WRAPPER: does not exist"; exit 127; fi
if [ ! -x "$AWS_LAMBDA_EXEC_WRAPPER" ]; then echo "$AWS_LAMBDA_EXEC_WRAPPER: is not an executable"; exit 126; fi
exec "$AWS_LAMBDA_EXEC_WRAPPER" "$@"
"""


def find_dotnet(path: str, homes: Iterable[Path], tool_roots: Mapping[str, str]) -> Iterator[Interpreter]:
    """Yield each .NET version of this machine once: below DOTNET_ROOT, where PATH leads, in the usual directories.

    Nothing is executed: versions are names of directories.
    """
    homes = tuple(homes)
    packages = [Path(tool_roots["NUGET_PACKAGES"])] if "NUGET_PACKAGES" in tool_roots else []
    packages += [home / ".nuget" / "packages" for home in homes]
    seen = set()
    for root in _roots(path, homes, tool_roots):
        executable = root / "dotnet"
        if root in seen or not _is_executable(executable):
            continue
        seen.add(root)
        for name in _names(root / "shared" / "Microsoft.NETCore.App"):
            if not _VERSION.fullmatch(name):
                continue
            support = _support(packages, int(name.split(".", 1)[0]))
            roots = [str(root)] if support is None else [str(root), support]
            roots = [each for each in roots if not each.startswith("/usr/")]
            yield Interpreter(RuntimeFamily.DOTNET, str(executable), name, tuple(roots), client_directory=support)


def choose_dotnet(
    identifier: RuntimeIdentifier, interpreters: Sequence[Interpreter], *, is_exact: bool
) -> Interpreter | None:
    """Return the newest patch of the version asked for, else of the nearest newer one: old ones cannot run new code."""
    wanted = identifier.version[0]
    usable = [each for each in interpreters if each.family is RuntimeFamily.DOTNET and _parts(each)[0] >= wanted]
    nearest = min((_parts(each)[0] for each in usable), default=0)
    if not usable or (is_exact and nearest != wanted):
        return None
    fitting = [each for each in usable if _parts(each)[0] == nearest]
    # With AWS's client before without, for a class library needs it.
    return max(fitting, key=lambda each: (each.client_directory is not None, _parts(each)))


def plan_dotnet(
    identifier: RuntimeIdentifier, version: FunctionVersion, found: Interpreter | None, variables: Mapping[str, str]
) -> RuntimePlan | Unavailable:
    """Return how to run a .NET function: under `found`, or by itself where it is a program of its own."""
    wanted = ".".join(map(str, identifier.version[:1] if identifier.version[0] >= 5 else identifier.version))
    handler = version.handler or ""
    is_library = ":" in handler
    if is_library and (found is None or found.client_directory is None):
        missing = "A .NET that runs" if found is None else "Amazon.Lambda.RuntimeSupport for"
        return Unavailable(
            f"{missing} {identifier.name} was not found on this machine: install the .NET runtime (DOTNET_ROOT, "
            "~/.dotnet or a package) and restore a project that references Amazon.Lambda.RuntimeSupport, then restart; "
            f"or give it a root of its own: `lambent runtimes install {identifier.name}`; or publish the function "
            "self-contained or as native code, with its executable named bootstrap, for provided.al2023."
        )
    notice = None
    variables = dict(variables)
    if found is not None:
        variables["DOTNET_ROOT"] = os.path.dirname(found.executable)
        if _parts(found)[0] != identifier.version[0]:
            variables["DOTNET_ROLL_FORWARD"] = "Major"
            notice = f"{identifier.name} runs on .NET {found.version}, the nearest found here"
    kind = SandboxKind(
        family=RuntimeFamily.EXEC,
        account_id=version.account_id,
        interpreter=found,
        client_directory=found.client_directory if found is not None else None,
    )
    executable = found.executable if found is not None else ""
    argv = ("/bin/sh", "-c", _START, "dotnet", handler, executable, "/var/task", f"/var/runtime/{SUPPORT_FILE}")
    text = f"dotnet:{wanted}.v0"
    if found is not None:
        major, *rest = _parts(found)
        text = f"dotnet:{major}.v{'.'.join(map(str, rest))}"
    return RuntimePlan(kind=kind, runtime_version=text, argv=argv, notice=notice, variables=variables)


def _roots(path: str, homes: Iterable[Path], tool_roots: Mapping[str, str]) -> Iterator[Path]:
    if "DOTNET_ROOT" in tool_roots:
        yield Path(os.path.realpath(tool_roots["DOTNET_ROOT"]))
    for home in homes:
        for pattern in _HOME_ROOTS:
            for root in sorted(_glob(home, pattern)):
                yield Path(os.path.realpath(root))
    for directory in path.split(os.pathsep):
        if directory.startswith("/"):
            # The program on PATH is a link into the root.
            yield Path(os.path.realpath(os.path.join(directory, "dotnet"))).parent
    yield from map(Path, _SYSTEM_ROOTS)


def _support(packages: Iterable[Path], major: int) -> str | None:
    """Return the directory of the newest RuntimeSupport made for this or an older .NET."""
    found: list[tuple[tuple[int, ...], int, str]] = []
    for directory in packages:
        for name in _names(directory / _SUPPORT_PACKAGE):
            for target in _names(directory / _SUPPORT_PACKAGE / name / "lib"):
                made_for = _TARGET.fullmatch(target)
                folder = directory / _SUPPORT_PACKAGE / name / "lib" / target
                if made_for is None or int(made_for[1]) > major or not (folder / SUPPORT_FILE).is_file():
                    continue
                numbers = tuple(int(part) for part in re.findall(r"\d+", name))
                found.append((numbers, int(made_for[1]), str(folder)))
    return max(found)[-1] if found else None


def _parts(interpreter: Interpreter) -> tuple[int, ...]:
    return tuple(int(part) for part in interpreter.version.split("."))


def _names(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _glob(root: Path, pattern: str) -> list[Path]:
    try:
        return list(root.glob(pattern))
    except OSError:
        return []


def _is_executable(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.X_OK)
    except OSError:
        return False
