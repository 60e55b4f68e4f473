"""What root decided when it started the launcher, checked once more before it is believed."""

from __future__ import annotations

import contextlib
import json
import os
import secrets

from .messages import RefusedError
from .outside.firewall import check_host_ports
from .supervisor import SupervisorOptions

STATE_DIRECTORY = "launcher"
IMAGES_DIRECTORY = "tmp-images"
_NEVER_READABLE = ("/", "/home", "/root", "/etc", "/var", "/proc", "/sys", "/dev", "/boot", "/run", "/tmp", "/srv")


def read_options(text: str) -> SupervisorOptions:
    """Open the directories and return the options. Raises RefusedError, OSError."""
    raw = json.loads(text)
    data_directory = os.open(raw["data_directory"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    images = _own_directory(data_directory, IMAGES_DIRECTORY)
    state = _own_directory(data_directory, STATE_DIRECTORY)
    readable = tuple(directory for directory in raw["readable"] if _is_suitable(directory, data_directory))
    return SupervisorOptions(
        data_directory_fd=data_directory,
        images_directory_fd=images,
        installation_id=_installation_id(state),
        uid_base=raw["uid_base"],
        readable=readable,
        egress=raw["egress"],
        host_ports=check_host_ports(tuple(raw["host_ports"])),
        memory_mib_max=raw["memory_mib_max"],
        is_rootless=raw["is_rootless"],
        has_apis=raw["has_apis"],
    )


def _is_suitable(directory: str, data_directory: int) -> bool:
    """Whether sandboxes may show a directory: never a whole system directory, and nothing that the daemon can write.

    Zygotes run what lies there with root's rights. A zygote that needs an unsuitable one is refused with a reason.
    """
    if os.path.realpath(directory) != directory or directory in _NEVER_READABLE:
        return False
    status = os.fstat(data_directory)
    if os.geteuid() != 0 or status.st_uid == 0:
        return True
    parts = directory.split("/")
    for end in range(2, len(parts) + 1):
        owner = os.stat("/".join(parts[:end])).st_uid
        if owner == status.st_uid:
            return False
    return True


def _own_directory(parent: int, name: str) -> int:
    """Open (make) a directory that only this account can enter; somebody else's is refused."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    status = os.fstat(fd)
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise RefusedError(f"{name} in the data directory is not the launcher's own")
    return fd


def _installation_id(state: int) -> str:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    try:
        fd = os.open("installation-id", flags, 0o600, dir_fd=state)
        os.write(fd, secrets.token_hex(6).encode())
        os.close(fd)
    except FileExistsError:
        pass
    fd = os.open("installation-id", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=state)
    with open(fd) as file:
        text = file.read()
    if not text.isalnum() or len(text) != 12:
        raise RefusedError("the installation's id is damaged")
    return text
