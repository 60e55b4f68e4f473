"""The C programs of benchmarks/load: compiled at set-up, run with prepared requests, their JSON as a value."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent.parent
RUN_SECONDS_MAX = 900
_SOURCES = {
    "generator": ("load/generator.c", ()),
    "echo": ("load/echo.c", ()),
    "bootstrap": ("functions/bootstrap.c", ("-static",)),
}


class LoadError(Exception):
    """The generator or what it spoke to did not do what the row needs; the message says what came instead."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the generator measured. Latencies in µs from the first byte written to the last byte read."""

    seconds: float
    answers: int
    good: int
    function_errors: int
    lost: int
    sent: int
    per_second: float
    mean_us: float
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float
    max_us: float
    cpu_us: float
    first_bad: str
    statuses: dict[str, int]
    latencies_us: list[float] = field(default_factory=list)

    def check(self, what: str) -> Load:
        """Return itself if every answer was good. Raises LoadError: a figure of failed calls is no figure."""
        if self.lost or self.good != self.answers or not self.answers:
            raise LoadError(
                f"{what}: {self.good} good of {self.answers} answers, {self.lost} lost, statuses {self.statuses}, "
                f"first bad answer: {self.first_bad!r}"
            )
        return self

    def brief(self) -> dict[str, float]:
        """Return the figures without the list."""
        return {
            "per_second": self.per_second,
            "mean_us": self.mean_us,
            "p50_us": self.p50_us,
            "p90_us": self.p90_us,
            "p99_us": self.p99_us,
            "p999_us": self.p999_us,
            "max_us": self.max_us,
            "answers": self.answers,
            "seconds": self.seconds,
        }


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """How to send: `connections` waiting clients for `seconds` after `warm_up` s, `count` requests, or a sequence."""

    connections: int = 1
    seconds: int = 5
    warm_up: float = 1.0
    count: int = 0
    is_sequence: bool = False
    pause_ms: int = 0

    def flags(self) -> list[str]:
        """Return the generator's flags."""
        if self.is_sequence:
            return ["--sequence", "--list", "--pause-ms", str(self.pause_ms)]
        flags = ["--connections", str(self.connections)]
        if self.count:
            return [*flags, "--count", str(self.count)]
        return [*flags, "--seconds", str(self.seconds), "--warm-up", str(self.warm_up)]


class Programs:
    """The compiled programs in a folder. Scope: one run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs = 0

    def build(self) -> None:
        """Compile all of them with gcc. Raises LoadError."""
        for name, (source, flags) in _SOURCES.items():
            command = ["gcc", "-O2", *flags, "-o", str(self._folder / name), str(HERE / source)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise LoadError(f"{' '.join(command)}: {done.stderr}")

    def path(self, name: str) -> Path:
        """Return where a program is."""
        return self._folder / name

    def start(self, port: int, requests: Sequence[bytes], plan: LoadPlan) -> RunningLoad:
        """Start sending `requests` to 127.0.0.1:`port`."""
        self._runs += 1
        file = self._folder / f"requests-{self._runs}"
        write_requests(file, requests)
        command = [str(self.path("generator")), "--port", str(port), "--requests", str(file), *plan.flags()]
        return RunningLoad(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True), file)

    def send(self, port: int, requests: Sequence[bytes], plan: LoadPlan) -> Load:
        """Send and return what was measured. Raises LoadError."""
        return self.start(port, requests, plan).wait()


@dataclass(frozen=True, slots=True)
class RunningLoad:
    """A generator at work."""

    process: subprocess.Popen[str]
    file: Path

    def wait(self) -> Load:
        """Return what was measured. Raises LoadError."""
        try:
            output, errors = self.process.communicate(timeout=RUN_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise LoadError(f"the generator ran over {RUN_SECONDS_MAX} s") from None
        finally:
            self.file.unlink(missing_ok=True)
        if self.process.returncode or not output:
            raise LoadError(f"generator: exit {self.process.returncode}: {errors.strip()}")
        return Load(**json.loads(output))

    def stop(self) -> None:
        """End it without a result."""
        self.process.kill()
        self.process.communicate()
        self.file.unlink(missing_ok=True)


def write_requests(file: Path, requests: Sequence[bytes]) -> None:
    """Write requests as the generator reads them."""
    with file.open("wb") as output:
        for request in requests:
            output.write(b"%d\n" % len(request))
            output.write(request)
