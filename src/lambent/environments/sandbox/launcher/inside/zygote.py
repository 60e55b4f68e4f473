"""The process every sandbox of one (interpreter, account, preload) is cloned from. Python 3.8 and newer.

Single-threaded, with the root that its sandboxes will see. Never holds credentials or a function's data.
"""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
from typing import Any, NoReturn

from .. import channel, seccomp, syscalls
from .init import Init

_NAMESPACES = (
    syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWUSER
)
CONTROL_FD = 3


def main() -> NoReturn:
    """Serve the supervisor on descriptor 3 until it goes away."""
    control = socket.socket(fileno=CONTROL_FD)
    options, _ = channel.receive(control)
    if options is None:
        os._exit(0)
    try:
        _warm_up(options)
    except Exception as error:
        channel.send(control, {"failed": f"{type(error).__name__}: {error}"})
        os._exit(1)
    program = seccomp.assemble(is_memory_limited=options["is_memory_limited"])
    syscalls.set_capabilities(1 << syscalls.CAP_SYS_ADMIN)
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()
    channel.send(control, {"ready": os.getpid()})
    while True:
        _serve(control, options, program)


def _warm_up(options: dict[str, Any]) -> None:
    sys.path.remove("/var/task")
    sys.path[:] = [entry for entry in sys.path if not entry.startswith("/var/task")]
    if options["family"] == "python" and not options["is_fresh"]:
        sys.path.insert(0, "/var/runtime")
        import lambent_runtime  # type: ignore[import-not-found]

        if options["preload_sdk"]:
            lambent_runtime.preload_sdk()
        lambent_runtime.exercise()
    else:
        _exercise_nothing()
    for target in options["unmount"]:
        syscalls.umount(target)
    # A function may have a module of this name; the code here lives on in its functions.
    for name in [name for name in sys.modules if name == "launcher" or name.startswith("launcher.")]:
        del sys.modules[name]


def _exercise_nothing() -> None:
    """Load what Python loads late, so that a sandbox whose files are gone still finds it."""
    import encodings.idna  # noqa: F401
    import resource  # noqa: F401

    "host".encode("idna")


def _serve(control: socket.socket, options: dict[str, Any], program: bytes) -> None:
    request, fds = channel.receive(control)
    if request is None:
        os._exit(0)
    try:
        pid = syscalls.raw_clone(_NAMESPACES | syscalls.CLONE_PARENT | syscalls.SIGCHLD)
    except OSError as error:
        channel.close_all(fds)
        channel.send(control, {"id": request["id"], "error": str(error)})
        return
    if pid == 0:
        try:
            control.close()
            init = Init(options["family"], request["argv"], program)
            init.run(fds[0], fds[1], fds[2:])
        except BaseException as error:
            _complain(fds[0], error)
        finally:
            os._exit(70)
    channel.close_all(fds)
    channel.send(control, {"id": request["id"], "pid": pid})


def _complain(fd: int, error: BaseException) -> None:
    with contextlib.suppress(OSError):
        channel.send(socket.socket(fileno=fd), {"failed": f"{type(error).__name__}: {error}"})
