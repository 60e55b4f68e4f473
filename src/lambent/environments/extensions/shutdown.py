"""How the processes of an environment are told to end, and how long each may take.

Source: developer guide, "Shutdown phase": 2 s with external extensions, 300 ms of it for the runtime; 500 ms with
internal ones alone. Without any AWS gives none; here it is the setting environments.shutdown_grace_ms.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from lambent.environments.sandbox.sandbox import SandboxError

if TYPE_CHECKING:
    from lambent.clock import Clock
    from lambent.environments.extensions.host import ExtensionHost
    from lambent.environments.sandbox.sandbox import Sandbox

SHUTDOWN_SECONDS = 2.0
RUNTIME_SECONDS = 0.3
INTERNAL_SECONDS = 0.5


async def end_processes(
    sandbox: Sandbox, host: ExtensionHost | None, grace_seconds: float, reason: str, clock: Clock
) -> None:
    """Give the runtime SIGTERM, then extensions SHUTDOWN with `reason`; return when they ended or time is over."""
    total_seconds = runtime_seconds = grace_seconds
    if host is not None:
        host.ending()
        if host.has_external:
            total_seconds, runtime_seconds = SHUTDOWN_SECONDS, RUNTIME_SECONDS
        elif not host.is_empty:
            total_seconds = runtime_seconds = INTERNAL_SECONDS
    begun_ns, begun_ms = clock.monotonic_ns(), clock.time_ms()
    sandbox.signal_runtime(signal.SIGTERM)
    try:
        async with asyncio.timeout(runtime_seconds):
            await sandbox.wait_exited()
    except TimeoutError:
        sandbox.signal_runtime(signal.SIGKILL)
    except SandboxError:
        return
    if host is not None and host.has_external:
        left_seconds = total_seconds - (clock.monotonic_ns() - begun_ns) / 1e9
        await host.shut_down(reason, begun_ms + int(total_seconds * 1000), left_seconds)
