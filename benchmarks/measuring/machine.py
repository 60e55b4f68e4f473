"""What the figures depend on: the machine and what else it was doing."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from pathlib import Path


def facts() -> dict[str, object]:
    """Return processor, cores, memory, kernel, versions and the revision measured."""
    processor = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.split(":", 1)[1].strip()
            break
    return {
        "when": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_mib": memory_mib("MemTotal"),
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "revision": _revision(),
        "is_root": os.geteuid() == 0,
    }


def load() -> dict[str, float]:
    """Return the load average of the last minute and processor seconds used by anybody so far."""
    fields = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    tick = os.sysconf("SC_CLK_TCK")
    idle = (fields[3] + fields[4]) / tick
    return {
        "load_1m": os.getloadavg()[0],
        "busy_s": sum(fields) / tick - idle,
        "steal_s": fields[7] / tick,
        "idle_s": idle,
    }


def memory_mib(name: str) -> int:
    """Return a line of /proc/meminfo in MiB."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) // 1024
    raise LookupError(name)


def _revision() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
