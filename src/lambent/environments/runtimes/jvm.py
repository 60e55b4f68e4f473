"""What a Java virtual machine says of itself, and which directories it needs beside its own."""

from __future__ import annotations

import os
import re
import subprocess

_ASK_SECONDS = 20.0
_PROPERTY = r"(?m)^ {4}(java\.home|java\.version|java\.vm\.name) = (.*)$"
# The flags of waiting virtual machines are those of HotSpot.
_VM_NAMES = ("OpenJDK", "HotSpot", "GraalVM")
# Parts of a JDK that no function needs and that are full of links.
_PASSED_OVER = frozenset({"legal", "man", "demo", "docs", "include", "sample", "jmods"})
# Everybody's directories: what lies in them is shown by name or not at all.
_SHARED = ("/", "/etc", "/var", "/var/lib", "/opt", "/home", "/root", "/etc/ssl/certs")


def ask_jvm(executable: str) -> dict[str, object]:
    """Return {"version", "roots"} of a JVM, {} when it is none that can be used. Blocks: it is run once."""
    try:
        ran = subprocess.run(
            [executable, "-XshowSettings:properties", "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ASK_SECONDS,
            env={},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    said = dict(re.findall(_PROPERTY, ran.stderr.decode(errors="replace")))
    version = full_version(said.get("java.version", ""))
    home = said.get("java.home", "")
    if not version or not home.startswith("/") or not any(name in said.get("java.vm.name", "") for name in _VM_NAMES):
        return {}
    return {"version": version, "roots": [home, *_linked(home)]}


def full_version(text: str) -> str:
    """Return "8.0.402" for "1.8.0_402", "17.0.15" for itself, "25.0.0" for "25"; "" for what is no version."""
    numbers = re.findall(r"\d+", text.removeprefix("1.").split("-", 1)[0].split("+", 1)[0])[:3]
    return ".".join([*numbers, "0", "0"][:3]) if numbers else ""


def _linked(home: str) -> list[str]:
    """Return directories outside a JVM's own that its links lead to: distributions keep its configuration in /etc."""
    found: set[str] = set()
    for directory, names, files in os.walk(home):
        names[:] = [name for name in names if name not in _PASSED_OVER]
        for name in (*names, *files):
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                continue
            target = os.path.realpath(path)
            place = target if os.path.isdir(target) else os.path.dirname(target)
            is_shown = place in _SHARED or place.startswith(("/etc/ssl/certs/", "/proc/", "/sys/", "/dev/"))
            if os.path.exists(target) and not is_shown and not target.startswith(home + "/"):
                found.add(place)
    return sorted(found)
