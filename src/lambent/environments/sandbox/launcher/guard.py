"""Keeps a supervisor running as long as the daemon lives. Tiny on purpose: it is what must not crash."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from typing import Any

from . import channel, syscalls
from .options import read_options
from .outside.firewall import check_host_ports
from .outside.rootless_network import RootlessUplink
from .rootless import become_root_of_nothing
from .supervisor import Supervisor

RESTART_PAUSE_SECONDS = 0.1
QUICK_FAILURES_MAX = 5
QUICK_SECONDS = 2.0
ORPHANS_SECONDS_MAX = 0.5


def main(arguments: list[str]) -> None:
    """`guard FD OPTIONS`: start supervisors on the socket FD until one ends because the daemon has gone."""
    fd = int(arguments[0])
    # A dead supervisor's sandboxes become this process's children and do not stay as zombies.
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    uplink: RootlessUplink | None = None
    options = json.loads(arguments[1])
    if options["is_rootless"]:
        try:
            uplink = _leave_the_host(options)
        except (OSError, ValueError) as error:
            _say_unable(fd, f"no user namespace for an ordinary user: {error}")
            return
    try:
        _keep_supervised(fd, arguments[1], uplink)
    finally:
        if uplink is not None:
            uplink.stop()


def _keep_supervised(fd: int, text: str, uplink: RootlessUplink | None) -> None:
    generation = 0
    quick_failures = 0
    while quick_failures < QUICK_FAILURES_MAX:
        generation += 1
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            _supervise(fd, text, generation, uplink)
        status = _wait_for(pid)
        _reap_orphans()
        if status == 0 or _is_hung_up(fd):
            return
        quick_failures = quick_failures + 1 if time.monotonic() - started < QUICK_SECONDS else 0
        print(f"lambent launcher: the supervisor ended with status {status}, starting another", file=sys.stderr)
        if quick_failures > 1:
            time.sleep(RESTART_PAUSE_SECONDS)


def _leave_the_host(options: dict[str, Any]) -> RootlessUplink | None:
    """Enter namespaces of our own. The way out is prepared before, while the host's network is still ours."""
    is_closed = options["egress"] == "none"
    uplink = None if is_closed else RootlessUplink(check_host_ports(tuple(options["host_ports"])))
    become_root_of_nothing()
    if uplink is not None:
        uplink.attach(os.getpid())
    return uplink


def _wait_for(supervisor: int) -> int:
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == supervisor:
            return status


def _reap_orphans() -> None:
    """They get SIGKILL with their parent's death; those that stay (frozen) are swept by the next supervisor."""
    deadline = time.monotonic() + ORPHANS_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.002)
        except ChildProcessError:
            return


def _say_unable(fd: int, reason: str) -> None:
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as daemon:
        channel.send(daemon, {"kind": "unable", "reason": reason})


def _is_hung_up(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, 0)
    return bool(poll.poll(0))


def _supervise(fd: int, text: str, generation: int, uplink: RootlessUplink | None) -> None:
    status = 70
    try:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        daemon = socket.socket(fileno=fd)
        Supervisor(read_options(text), daemon, generation, uplink).run()
        status = 0
    except BaseException as error:
        traceback.print_exception(error)
        _say_unable(fd, f"{type(error).__name__}: {error}")
    finally:
        os._exit(status)
