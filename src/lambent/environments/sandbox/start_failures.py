"""Why an image's program could not be started, in AWS's words, which are those of Go's os/exec."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENTRY_POINT = "Runtime.InvalidEntrypoint"
_WORKING_DIRECTORY = "Runtime.InvalidWorkingDir"


def start_failure(told: Mapping[str, Any]) -> tuple[str, str]:
    """Return AWS's error type and text for what the sandbox's inside told: step, name and errno.

    Source: observed ("fork/exec /entry: no such file or directory", "exec: \\"x\\": executable file not found in
    $PATH").
    """
    reason = os.strerror(int(told["errno"]))
    reason = reason[:1].lower() + reason[1:]
    name = str(told["name"])
    if told["step"] == "chdir":
        return _WORKING_DIRECTORY, f"chdir {name}: {reason}"
    if told["step"] == "path" and reason == "no such file or directory":
        return _ENTRY_POINT, f'exec: "{name}": executable file not found in $PATH'
    return _ENTRY_POINT, f"fork/exec {name}: {reason}"
