"""Cold starts of Ruby, Java, Go and Rust beside the plain start of the same interpreter or program as their floor.

The floor is a process of the host's, started and waited for, without sandbox, door or Runtime API: an interpreter that
runs nothing, a compiled program that ends as soon as it finds no Runtime API.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measuring import codes
from benchmarks.measuring.cold import NO_POOL, ColdRow, measure
from benchmarks.measuring.daemon import Daemon
from benchmarks.measuring.generator import LoadError
from benchmarks.measuring.rows import Row, missing
from lambent.environments.runtimes.jvm import ask_jvm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.measuring.context import Context

_ROOT = Path(__file__).resolve().parents[2]
_STARTS = 20
_BUILD_SECONDS = 1_800
_PAUSE_MS = 700
# A virtual machine that waits takes this long to be replaced.
_JAVA_PAUSE_MS = 2_000
_APP = (
    "public class App { public Object handle(Object event) { return null; } "
    "public static void main(String[] arguments) {} }"
)


def rows(context: Context) -> list[Row]:
    """Each language that this machine has: process start, pool hit, pool miss."""
    found: list[Row] = []
    hits, misses = [], []
    ruby = shutil.which("ruby")
    if ruby is None:
        found.append(missing("cold_ruby_hit", "Ruby cold, pool hit: p50", "ms", "no ruby here"))
    else:
        found.append(_start("start_ruby", "plain start of ruby (floor)", [ruby, "-e", "1"]))
        hits.append(ColdRow("cold_ruby_hit", "Ruby cold, pool hit: p50", codes.ruby(), 15, pause_ms=_PAUSE_MS))
        misses.append(ColdRow("cold_ruby_miss", "Ruby cold, pool miss: p50", codes.ruby(), None, pause_ms=50))
    try:
        java, classes, major = _build_java(context.folder / "java")
    except (OSError, subprocess.SubprocessError) as error:
        found.append(missing("cold_java_hit", "Java cold, pool hit: p50", "ms", str(error)[:300]))
    else:
        # The flags that decide how fast a virtual machine starts are those of ours.
        flags = ["-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        found.append(_start("start_java", "plain start of java (floor)", [java, *flags, "-cp", str(classes), "App"]))
        code = codes.java(classes, major)
        hits.append(ColdRow("cold_java_hit", f"Java {major} cold, pool hit: p50", code, 60, pause_ms=_JAVA_PAUSE_MS))
        misses.append(ColdRow("cold_java_miss", f"Java {major} cold, pool miss: p50", code, None, pause_ms=50))
    for name, title, build in (("go", "Go", _build_go), ("rust", "Rust", _build_rust)):
        try:
            program = build(context.folder / f"bootstrap-{name}")
        except (OSError, subprocess.SubprocessError) as error:
            found.append(missing(f"cold_{name}_hit", f"{title} cold, pool hit: p50", "ms", str(error)[:300]))
            continue
        found.append(_start(f"start_{name}", f"plain start of the {title} program (floor)", [str(program)]))
        code = codes.program(program)
        hits.append(ColdRow(f"cold_{name}_hit", f"{title} (AWS's library) cold, pool hit: p50", code, 10))
    return found + _cold(context, hits, {}) + _cold(context, misses, NO_POOL)


def _cold(context: Context, wanted: Sequence[ColdRow], settings: dict[str, str]) -> list[Row]:
    daemon = Daemon(settings)
    try:
        daemon.start()
        return [measure(context, daemon, row) for row in wanted]
    except LoadError as error:
        return [missing(row.key, row.what, "ms", str(error)[:400]) for row in wanted]
    finally:
        daemon.close()


def _start(key: str, what: str, command: list[str]) -> Row:
    environment = {"PATH": os.defpath}
    taken = []
    for _ in range(_STARTS + 1):
        begin = time.perf_counter()
        subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        taken.append((time.perf_counter() - begin) * 1_000)
    # The first one reads the files from disk.
    return Row(key, what, statistics.median(taken[1:]), "ms", detail={"count": _STARTS})


def _build_java(target: Path) -> tuple[str, Path, int]:
    """Return the java of the search path, the directory of an empty function's class, and its major version."""
    java = shutil.which("java")
    said = ask_jvm(os.path.realpath(java)) if java is not None else {}
    if java is None or not said:
        raise OSError("no java here")
    target.mkdir(parents=True, exist_ok=True)
    (target / "App.java").write_text(_APP)
    command = ["javac", "-nowarn", "-Xlint:-options", "--release", "8", "-d", str(target), str(target / "App.java")]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_BUILD_SECONDS, check=True)
    return java, target, int(str(said["version"]).split(".", 1)[0])


def _build_go(target: Path) -> Path:
    command = ["go", "build", "-tags", "lambda.norpc", "-o", str(target), "."]
    return _build(command, _ROOT / "examples" / "bootstrap-go", {"CGO_ENABLED": "0"}, lambda: target)


def _build_rust(target: Path) -> Path:
    built = _ROOT / ".venv" / "share" / "cargo-target" / "bootstrap-rust"
    command = ["cargo", "build", "--release", "--locked", "--quiet"]
    return _build(
        command, _ROOT / "examples" / "bootstrap-rust", {"CARGO_TARGET_DIR": str(built)},
        lambda: Path(shutil.copy(built / "release" / "bootstrap", target)),
    )  # fmt: skip


def _build(command: list[str], directory: Path, variables: dict[str, str], take: Callable[[], Path]) -> Path:
    subprocess.run(
        command, cwd=directory, env={**os.environ, **variables}, stdin=subprocess.DEVNULL, capture_output=True,
        timeout=_BUILD_SECONDS, check=True,
    )  # fmt: skip
    return take()
