"""`lambent serve`: refuse what is unsafe, start, say what was started, end on SIGTERM."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import ipaddress
import logging
import signal
import sys
from typing import TYPE_CHECKING

from lambent.app import Application
from lambent.cli.failure import CommandError
from lambent.settings import Settings, read_settings
from lambent.startup import StartError, lambent_version, prepare_process

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from lambent.startup import PreparedProcess

_PROTECTED_LEVELS = ("L1", "L2", "L3")
_SWITCH_SECONDS = 0.001


def run_serve(parsed: argparse.Namespace, flags: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT; return 0 after an orderly end.

    Raises:
        SettingError: a setting is unknown or wrong.
        CommandError: the start is refused, with the reason.
    """
    settings = protected(read_settings(flags, config=parsed.config))
    # A start makes much and throws little away.
    gc.disable()
    level = settings.server.log_level.upper()
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        process = prepare_process(settings)
    except (StartError, OSError) as error:
        raise CommandError(str(error)) from error
    # Threads that write to disk come back to a busy loop after this, and not after five times as long at each step.
    sys.setswitchinterval(_SWITCH_SECONDS)
    refusal: BaseException | None = None
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(process))
    except* StartError as group:
        # It comes out of nested task groups; there is one.
        refusal = group.exceptions[0]
        while isinstance(refusal, BaseExceptionGroup):
            refusal = refusal.exceptions[0]
    if refusal is not None:
        raise CommandError(str(refusal)) from refusal
    return 0


def protected(settings: Settings) -> Settings:
    """Return the settings to start with: beyond loopback only with signatures, TLS and isolation.

    Raises:
        CommandError: the server would listen beyond loopback without one of them, and not --insecure.
    """
    if settings.server.insecure or is_loopback(settings.server.host):
        return settings
    lacking = []
    if settings.auth.mode != "verify":
        lacking.append("auth.mode=verify (anybody could call)")
    if not settings.server.tls_cert:
        lacking.append("--tls-cert and --tls-key (anybody could listen)")
    if settings.isolation.level == "L0":
        lacking.append("isolation.level L1 or better (functions could read the whole machine)")
    if lacking:
        raise CommandError(
            f"listening on {settings.server.host} reaches beyond this machine and needs {', '.join(lacking)}; "
            "or --insecure, if you know that nobody else can connect."
        )
    if settings.isolation.min in _PROTECTED_LEVELS:
        return settings
    # What this machine can do is known only when its sandboxes have been tried.
    return dataclasses.replace(settings, isolation=dataclasses.replace(settings.isolation, min="L1"))


def is_loopback(host: str) -> bool:
    """Say whether only this machine can connect to what listens on `host`."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def banner(app: Application) -> str:
    """Return what is said when the server is ready: where, how well isolated, what is missing, which runtimes."""
    settings = app.settings
    host, port = app.address or (settings.server.host, settings.server.port)
    scheme = "https" if settings.server.tls_cert else "http"
    name = f"[{host}]" if ":" in host else host
    lines = [
        f"lambent {lambent_version()}",
        f"  url        {scheme}://{name}:{port}",
        f"  auth       {settings.auth.mode}",
        f"  data       {settings.data_dir}",
        f"  isolation  {app.driver.level.value}",
    ]
    if app.namespace_refusal is not None:
        lines.append(f"  no better  {app.namespace_refusal}")
    lines += [f"  missing    {feature}: {reason}" for feature, reason in sorted(app.driver.missing_features.items())]
    found = sorted({f"{one.family.value} {one.version}" for one in app.process.interpreters})
    lines.append(f"  runtimes   {', '.join(found) or 'none but custom ones'}")
    lines.append(f"  neighbours {_neighbours(app)}")
    return "\n".join(lines)


def _neighbours(app: Application) -> str:
    own = sorted(name for name, one in app.settings.neighbours.services.items() if one.endpoint)
    elsewhere = f"; elsewhere: {', '.join(own)}" if own else ""
    if app.child is None:
        return f"embedded ones are switched off{elsewhere}"
    if not app.child.is_installed:
        return f"embedded ones are not installed: run ./scripts/setup{elsewhere}"
    kept = "a kill loses no configuration, but perhaps the newest objects, items and messages"
    return f"embedded, started when first called ({kept}){elsewhere}"


async def _serve(process: PreparedProcess) -> None:
    app = Application(process)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.stop)

    def begin() -> None:
        # What a start made stays as long as the server: to look through it again and again for what nobody needs would
        # hold the loop for 20 ms every few thousand events.
        gc.freeze()
        gc.enable()
        print(banner(app), flush=True)

    await app.run(begin)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
