"""Which flags java is started with: for a waiting process as for a process of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambent.environments.sandbox.sandbox import Interpreter

# Source: observed on AWS (heap 85 % of the memory; serial collector; from Java 17 on the first compiler alone; java.io
# open; IPv4 first).
_HEAP_PERCENT = 85
_SERIAL_FLAG = "-XX:+UseSerialGC"
_FIRST_MODULAR = 9
FIRST_WITH_ARCHIVES = 11
_FIRST_QUICK = 17
_ENTRY = "lambent.runtime.Main"
_LIBRARY_PATH = (
    "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib:"
    "/usr/java/packages/lib:/lib:/usr/lib"
)
# A waiting process is started with room for the variables that come later: Java's own child processes inherit what the
# operating system keeps, and the runtime client writes it there. AWS lets a function have 4 KB of them.
_WITH_ROOM = f'n=0; while [ $n -lt 320 ]; do n=$((n+1)); export "LAMBENT_$n={"x" * 96}"; done; exec "$@"'
# List the classes, archive them, and see that the archive is accepted without a word.
_ARCHIVE_MEMORY_MIB = 256
_MAKE_ARCHIVE = (
    "cd /tmp && jar=$1 main=$2 && shift 2 && "
    'nice "$@" -Xshare:auto -XX:DumpLoadedClassList=classes -cp "$jar" "$main" exercise >/dev/null 2>&1 && '
    'nice "$@" -Xshare:dump -XX:SharedClassListFile=classes -XX:SharedArchiveFile=archive -cp "$jar" '
    ">/dev/null 2>&1 && "
    'said=$(nice "$@" -Xshare:auto -XX:SharedArchiveFile=archive -cp "$jar" "$main" exercise 2>&1) && '
    '[ -z "$said" ] && exec cat archive; exit 1'
)
# What a user's own options say is left to them: two collectors, for one, are refused by the virtual machine. Patterns
# are not compiled before somebody has options: importing them costs every start.
_OWN_WORDS = {
    _SERIAL_FLAG: r"-XX:\+Use\w+GC\b",
    "-XX:MaxHeapSize": r"-Xmx|-XX:MaxHeapSize|-XX:Max(?:RAM|RAMPercentage)\b",
    "-XX:TieredStopAtLevel": r"-XX:[+-]?Tiered|-Xint|-Xcomp",
    "-Xshare": r"-Xshare|-XX:SharedArchiveFile|-XX:AOT",
}


def waiting_java(
    interpreter: Interpreter, memory_mib: int, client_directory: str, archive: str | None = None
) -> tuple[str, ...]:
    """Return what starts a process that waits for a function of this memory size; `archive` is one of its classes."""
    flags = _flags(interpreter, memory_mib)
    if archive is not None:
        flags.append(f"-XX:SharedArchiveFile={archive}")
    # A function's own variables are not there yet: what is made of them at start is said here.
    flags += ["-Duser.timezone=UTC", f"-Djava.library.path={_LIBRARY_PATH}"]
    java = (interpreter.executable, *flags, "-cp", f"{client_directory}/lambent-runtime.jar", _ENTRY, "wait")
    return ("/bin/sh", "-c", _WITH_ROOM, "sh", *java)


def archive_argv(interpreter: Interpreter, client_directory: str) -> tuple[str, ...]:
    """Return what makes an archive of the classes that a waiting process loads and writes it to standard output."""
    flags = [flag for flag in _flags(interpreter, _ARCHIVE_MEMORY_MIB) if not flag.startswith("-Xshare")]
    jar = f"{client_directory}/lambent-runtime.jar"
    return ("/bin/sh", "-c", _MAKE_ARCHIVE, "sh", jar, _ENTRY, interpreter.executable, *flags)


def java_command(
    interpreter: Interpreter, memory_mib: int, client_directory: str, options: str = ""
) -> tuple[str, ...]:
    """Return what starts a function's process. `options`: those of JAVA_TOOL_OPTIONS and the like, which win."""
    flags = [flag for flag in _flags(interpreter, memory_mib) if not _is_users(flag, options)]
    return (interpreter.executable, *flags, "-cp", f"{client_directory}/lambent-runtime.jar", _ENTRY)


def _flags(interpreter: Interpreter, memory_mib: int) -> list[str]:
    major = int(interpreter.version.split(".", 1)[0])
    flags = [f"-XX:MaxHeapSize={memory_mib * 1024 * _HEAP_PERCENT // 100}k", _SERIAL_FLAG]
    if major >= _FIRST_QUICK:
        flags += ["-XX:TieredStopAtLevel=1", "-XX:+ErrorFileToStderr"]
    if major >= _FIRST_MODULAR:
        flags += ["--add-opens=java.base/java.io=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED"]
    # The host may not have AWS's locale: what Java takes from it is said.
    named = {
        "java.net.preferIPv4Stack": "true",
        "file.encoding": "UTF-8",
        "sun.jnu.encoding": "UTF-8",
        "user.language": "en",
        "user.country": "US",
    }
    return [*flags, "-Xshare:auto", "-XX:-UsePerfData", *(f"-D{name}={value}" for name, value in named.items())]


def _is_users(flag: str, options: str) -> bool:
    if not options:
        return False
    if flag.startswith("-D"):
        return f"{flag.split('=', 1)[0]}=" in options
    pattern = next((each for name, each in _OWN_WORDS.items() if flag.startswith(name)), None)
    return pattern is not None and re.search(pattern, options) is not None
