"""`/tmp` as disk with a hard cap: a pool of small ext4 images on loop devices, as detached mounts.

A template per size is made once (mkfs.ext4, no journal); an image is a sparse unnamed copy of it that is gone with
its mount: LO_FLAGS_AUTOCLEAR frees the loop device, the kernel frees the file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
from collections import OrderedDict

from . import syscalls

POOL_SIZE = 4
SIZES_MAX = 3
_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CTL_REMOVE = 0x4C81
_LOOP_CONFIGURE = 0x4C0A
_LOOP_CLR_FD = 0x4C01
_AUTOCLEAR = 4
_CONFIGURE_ATTEMPTS_MAX = 16
_SEEK_DATA = 3
_SEEK_HOLE = 4
_MKFS_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


class ImagePool:
    """Ready `/tmp` mounts by size in MiB. Scope: one supervisor. A crash frees them all."""

    def __init__(self, directory_fd: int, owner: tuple[int, int], tag: str) -> None:
        self._directory_fd = directory_fd
        self._owner = owner
        self._tag = tag.encode()[:63]
        self._ready: OrderedDict[int, list[int]] = OrderedDict()
        self._loops: set[str] = set()
        self._earlier_loops = {name for name in os.listdir("/sys/block") if name.startswith("loop")}

    def take(self, size_mib: int) -> int:
        """Return a detached, not yet idmapped mount with `size_mib` free. Raises OSError."""
        ready = self._ready.setdefault(size_mib, [])
        self._ready.move_to_end(size_mib)
        while len(self._ready) > SIZES_MAX:
            _, dropped = self._ready.popitem(last=False)
            for fd in dropped:
                os.close(fd)
        return ready.pop() if ready else self._make(size_mib)

    def refill_one(self) -> bool:
        """Make one image if a size in use has fewer than POOL_SIZE; True when there may be more to do."""
        for size_mib, ready in self._ready.items():
            if len(ready) < POOL_SIZE:
                ready.append(self._make(size_mib))
                return True
        return False

    def close(self) -> None:
        """Give everything back, the loop device nodes that this run added included."""
        for ready in self._ready.values():
            for fd in ready:
                os.close(fd)
        self._ready.clear()
        with contextlib.suppress(OSError):
            control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
            for name in self._loops - self._earlier_loops:
                with contextlib.suppress(OSError):
                    fcntl.ioctl(control, _LOOP_CTL_REMOVE, int(name.removeprefix("loop")))
            os.close(control)

    def sweep(self) -> int:
        """Free loop devices of this installation that a crash left; return how many."""
        prefix = os.readlink(f"/proc/self/fd/{self._directory_fd}") + "/"
        swept = 0
        for name in os.listdir("/sys/block"):
            try:
                with open(f"/sys/block/{name}/loop/backing_file") as file:
                    is_ours = file.read().startswith(prefix)
                if is_ours:
                    fd = os.open(f"/dev/{name}", os.O_RDWR | os.O_CLOEXEC)
                    fcntl.ioctl(fd, _LOOP_CLR_FD)
                    os.close(fd)
                    swept += 1
            except OSError:
                continue
        return swept

    def _make(self, size_mib: int) -> int:
        template = self._template(size_mib)
        image = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=self._directory_fd)
        try:
            _copy_sparse(template, image)
            return self._mount(image)
        finally:
            os.close(image)
            os.close(template)

    def _template(self, size_mib: int) -> int:
        name = f"ext4-{size_mib}"
        try:
            return os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self._directory_fd)
        except FileNotFoundError:
            pass
        # Free space is what was asked for: inode tables, bitmaps and group descriptors come on top.
        total_mib = size_mib + size_mib // 50 + 6
        draft = f".{name}.draft"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=self._directory_fd)
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
        fd = os.open(draft, flags, 0o600, dir_fd=self._directory_fd)
        try:
            os.ftruncate(fd, total_mib << 20)
            self._format(fd)
            mount = self._mount(fd)
            os.rmdir("lost+found", dir_fd=mount)
            os.chmod(f"/proc/self/fd/{mount}", 0o1777)
            os.close(mount)
            os.fsync(fd)
            os.rename(draft, name, src_dir_fd=self._directory_fd, dst_dir_fd=self._directory_fd)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _format(self, fd: int) -> None:
        program = shutil.which("mkfs.ext4", path=_MKFS_PATH)
        if program is None:
            raise FileNotFoundError("mkfs.ext4 is not installed (package e2fsprogs)")
        extended = f"root_owner={self._owner[0]}:{self._owner[1]},lazy_itable_init=1,nodiscard"
        command = [program, "-q", "-F", "-O", "^has_journal,^resize_inode", "-m", "0", "-i", "32768", "-E", extended]
        result = subprocess.run(
            [*command, f"/proc/self/fd/{fd}"], pass_fds=(fd,), capture_output=True, check=False, env={}
        )
        if result.returncode != 0:
            raise OSError(f"mkfs.ext4: {result.stderr.decode(errors='replace')[:300]}")

    def _mount(self, image: int) -> int:
        device = self._attach_loop(image)
        try:
            context = syscalls.syscall("fsopen", syscalls.NR_FSOPEN, b"ext4", 1)
            try:
                path = os.readlink(f"/proc/self/fd/{device}")
                configure = syscalls.NR_FSCONFIG
                source = path.encode()
                syscalls.syscall("fsconfig", configure, context, syscalls.FSCONFIG_SET_STRING, b"source", source, 0)
                for flag in (b"noinit_itable", b"discard"):
                    syscalls.syscall("fsconfig", configure, context, syscalls.FSCONFIG_SET_FLAG, flag, None, 0)
                syscalls.syscall("fsconfig", configure, context, syscalls.FSCONFIG_CMD_CREATE, None, None, 0)
                attributes = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
                return syscalls.syscall("fsmount", syscalls.NR_FSMOUNT, context, 1, attributes)
            finally:
                os.close(context)
        finally:
            os.close(device)

    def _attach_loop(self, image: int) -> int:
        control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        try:
            for _ in range(_CONFIGURE_ATTEMPTS_MAX):
                number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
                device = os.open(f"/dev/loop{number}", os.O_RDWR | os.O_CLOEXEC)
                # struct loop_config: fd, block size, loop_info64 (flags at 52, file name at 56), reserved.
                info = struct.pack("=40xIIII64s64x32x16x", 0, 0, 0, _AUTOCLEAR, self._tag)
                try:
                    fcntl.ioctl(device, _LOOP_CONFIGURE, struct.pack("=II", image, 0) + info + bytes(64))
                except OSError:
                    os.close(device)
                    continue
                self._loops.add(f"loop{number}")
                return device
        finally:
            os.close(control)
        raise OSError("no free loop device")


def _copy_sparse(source: int, target: int) -> None:
    size = os.fstat(source).st_size
    os.ftruncate(target, size)
    offset = 0
    while offset < size:
        try:
            start = os.lseek(source, offset, _SEEK_DATA)
        except OSError:
            return
        end = os.lseek(source, start, _SEEK_HOLE)
        while start < end:
            copied = os.copy_file_range(source, target, end - start, start, start)
            if copied == 0:
                return
            start += copied
        offset = end
