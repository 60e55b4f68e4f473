"""Pid 1 of every sandbox: starts, watches, reaps and resets; takes commands over its socket only.

It is a raw clone of the zygote without any fork hook, so it shares nearly all of the zygote's memory. Python 3.8 and
newer. It is not dumpable: that guards /proc/1/mem and its sockets from the customer's processes, which have its uid.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from typing import Any, NoReturn

from .. import channel, syscalls
from . import preparation, shared_objects
from .root import run_in_root

USER_ID = 993
GROUP_ID = 990
# Families whose process runs before its code comes.
WAITING = ("nodejs", "ruby", "java")
# Their own variables come later; what is set here only makes them read and write UTF-8.
_WAITING_VARIABLES = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
# Node.js reads this once, when its process starts. The file is there where sandboxes have AWS's APIs of their own.
_OWN_AUTHORITY = "/etc/ssl/certs/lambent-amazonaws.pem"
# After a reset somebody waits: the runtime client is not exercised first.
_AGAIN = {"LAMBENT_IS_AWAITED": "1"}


class Init:
    """One sandbox from inside. `family` as in the contract; `argv` starts the process of one that waits."""

    def __init__(self, family: str, argv: list[str], program: bytes) -> None:
        self._family = family
        self._argv = argv
        self._program = program
        self._runtime_pid = 0
        self._preparer_pid = 0
        self._data_mib: int | None = None
        self._extensions: dict[int, str] = {}
        self._extension_log = -1

    def run(self, commands_fd: int, messages_fd: int, cgroup_fds: list[int]) -> NoReturn:
        """Become pid 1; never returns."""
        self._commands = socket.socket(fileno=commands_fd)
        self._messages = socket.socket(fileno=messages_fd)
        go, fds = channel.receive(self._commands)
        if go is None:
            os._exit(0)
        shared = fds[0] if fds else -1
        channel.close_all(fds[1:])
        for fd in cgroup_fds:
            os.write(fd, b"0")
            os.close(fd)
        _become_user()
        syscalls.unshare(syscalls.CLONE_NEWCGROUP)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        self._log_read, self._log_write = os.pipe()
        self._start_first(go, shared)
        os.close(self._log_read)
        if shared >= 0:
            os.close(shared)
        syscalls.drop_all_rights()
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        self._watch()

    def _start_first(self, go: dict[str, Any], shared: int) -> None:
        is_waiting = self._family in WAITING
        prepared_read, prepared_write = os.pipe() if is_waiting else (-1, -1)
        pid = syscalls.fork()
        if pid == 0:
            self._prepare(go, shared, prepared_write)
        if not is_waiting:
            self._runtime_pid = pid
            return
        self._preparer_pid = pid
        os.close(prepared_write)
        if os.read(prepared_read, 1):
            os.close(prepared_read)
            self._start_process()

    def _prepare(self, go: dict[str, Any], shared: int, prepared_write: int) -> NoReturn:
        """Pid 2, with every right inside this sandbox and none outside."""
        try:
            self._commands.close()
            preparation.prepare(go, self._log_read, self._messages)
            if shared >= 0:
                preparation.attach_shared(shared)
            os.close(self._log_read)
            if prepared_write >= 0:
                stand_in = preparation.make_stand_in() if self._family == "java" else -1
                os.write(prepared_write, b"1")
                os.close(prepared_write)
                preparation.wait_for_mounts(self._messages, stand_in)
                os._exit(0)
            start = preparation.wait_for_mounts(self._messages)
            self._become_runtime(start)
        except BaseException as error:
            _report_failure(self._messages, error)
        os._exit(70)

    def _become_runtime(self, start: dict[str, Any]) -> NoReturn:
        if not start:
            start = preparation.wait_for_start(self._messages)
        if start.get("directory"):
            failure = self._messages.fileno()
            preparation.give_up_rights(self._log_write, failure, self._program, start.get("data_mib"))
            run_in_root(start["argv"], start["variables"], start["directory"])
        if self._family == "exec" or start.get("argv"):
            preparation.give_up_rights(self._log_write, None, self._program, start.get("data_mib"))
            preparation.run_program(start["argv"], start["variables"])
        preparation.give_up_rights(self._log_write, None, self._program, start.get("data_mib"))
        preparation.run_python(start)

    def _start_process(self, *, is_awaited: bool = False) -> None:
        """Start what waits with one end of a stream pair as descriptor 3; the daemon gets the other end."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        pid = syscalls.fork()
        if pid == 0:
            try:
                ours.close()
                preparation.give_up_rights(self._log_write, theirs.fileno(), self._program, self._data_mib)
                variables = {**_WAITING_VARIABLES, **(_AGAIN if is_awaited else {})}
                if self._family == "nodejs" and os.path.exists(_OWN_AUTHORITY):
                    variables["NODE_EXTRA_CA_CERTS"] = _OWN_AUTHORITY
                preparation.run_program(self._argv, variables)
            finally:
                os._exit(70)
        self._runtime_pid = pid
        channel.send(self._commands, {"process": True}, [ours.fileno()])
        ours.close()
        theirs.close()

    def _watch(self) -> NoReturn:
        waker = syscalls.signal_fd({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
        poll = select.poll()
        poll.register(waker, select.POLLIN)
        poll.register(self._commands.fileno(), select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == waker:
                    with contextlib.suppress(BlockingIOError):
                        os.read(waker, 4096)
                    self._reap()
                else:
                    self._obey()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._runtime_pid:
                self._runtime_pid = 0
                channel.send(self._commands, {"exit": status})
            elif pid in self._extensions:
                channel.send(self._commands, {"extension_exit": self._extensions.pop(pid), "status": status})

    def _obey(self) -> None:
        message, fds = channel.receive(self._commands)
        channel.close_all(fds)
        if message is None:
            os._exit(0)
        if "signal" in message:
            if self._runtime_pid:
                os.kill(self._runtime_pid, message["signal"])
        elif "signal_all" in message:
            _signal_all(message["signal_all"])
        elif "reset" in message:
            self._reset()
        elif "extension" in message:
            self._start_extension(message)
        elif "socket" in message:
            # Its network is the one it is made in: the daemon connects it.
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as made:
                channel.send(self._commands, {"socket": True}, [made.fileno()])

    def _start_extension(self, message: dict[str, Any]) -> None:
        """Start one external extension and say whether it could be executed. Their output has a pipe of its own."""
        if self._extension_log < 0:
            log_read, self._extension_log = os.pipe()
            channel.send(self._commands, {"extension_log": True}, [log_read])
            os.close(log_read)
        failure_read, failure_write = os.pipe()
        pid = syscalls.fork()
        if pid == 0:
            try:
                preparation.give_up_rights(self._extension_log, failure_write, self._program, message["data_mib"])
                preparation.run_extension(f"/opt/extensions/{message['extension']}", message["variables"])
            finally:
                os._exit(70)
        os.close(failure_write)
        failure = os.read(failure_read, 16)
        os.close(failure_read)
        if not failure:
            self._extensions[pid] = message["extension"]
        channel.send(self._commands, {"started": message["extension"], "errno": int(failure or b"0")})

    def _reset(self) -> None:
        """Kill everybody else, reap them all, start the runtime again. Mounts, link, cgroups and sockets stay."""
        self._runtime_pid = 0
        self._extensions.clear()
        while True:
            _signal_all(signal.SIGKILL)
            try:
                os.waitpid(-1, 0)
                # One signal reaches all there are; asking for each by a signal of its own would walk a fork bomb's
                # thousand processes a thousand times.
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                break
        shared_objects.remove_all()
        channel.send(self._commands, {"reset": True})
        if self._family in WAITING:
            self._start_process(is_awaited=True)
            return
        pid = syscalls.fork()
        if pid == 0:
            try:
                self._commands.close()
                self._become_runtime({})
            except BaseException as error:
                _report_failure(self._messages, error)
            os._exit(70)
        self._runtime_pid = pid


def _become_user() -> None:
    os.setresgid(GROUP_ID, GROUP_ID, GROUP_ID)
    with contextlib.suppress(PermissionError):  # Rootless: setgroups is denied in the parent namespace and stays so.
        os.setgroups([])
    os.setresuid(USER_ID, USER_ID, USER_ID)


def _signal_all(number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, number)


def _report_failure(messages: socket.socket, error: BaseException) -> None:
    with contextlib.suppress(OSError):
        channel.send(messages, {"failed": f"{type(error).__name__}: {error}"})
