"""One layer as a tree of files. Runs in a worker process without rights; the layer is presumed hostile.

The tree has overlayfs's own form: what a layer removes is a character device 0:0, a directory that hides everything
below is marked `user.overlay.opaque`; both may be made without rights. What they are is written beside the tree too
(`layer.json`), for machines that can make neither or have no overlay.

Whoever owned a file in the image, on disk it belongs to the account that unpacks, and to root inside a sandbox.
Set-user and set-group bits and extended attributes are left out. Nothing is ever written through a link: which names
are directories is known from what this process itself has made.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import posixpath
import shutil
import stat
from typing import TYPE_CHECKING

from msgspec import Struct, field

from lambent.images.layers import tar_stream
from lambent.images.layers.blobs import BlobError, LayerBytes
from lambent.images.layers.tar_stream import TarEntry, TarError, TarStream

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRIES_MAX = 500_000
DEPTH_MAX = 256
_LINKS_FOLLOWED_MAX = 40
# Each costs a look at all names; no honest layer turns directories into files by the hundred.
_REPLACED_DIRECTORIES_MAX = 100
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
OPAQUE_ATTRIBUTE = "user.overlay.opaque"
_NICENESS = 10
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class UnpackJob(Struct, frozen=True):
    """`blob`: the layer's file. `target`: a directory that is made. `digest`, `diff_id`: what must come out (hex)."""

    blob: str
    target: str
    digest: str
    diff_id: str
    bytes_max: int


class UnpackedLayer(Struct, frozen=True):
    """What was unpacked. `notes` are sentences for the log. `refusal`: why it was not, and `is_full`: the disk was."""

    size_bytes: int = 0
    entries: int = 0
    notes: tuple[str, ...] = ()
    refusal: str | None = None
    is_full: bool = False


class LayerError(Exception):
    """The layer may not be unpacked; the text says why."""


def unpack_layer(job: UnpackJob) -> UnpackedLayer:
    """Unpack a layer to `job.target`: `tree/` and `layer.json`. Nothing is kept of one that is refused."""
    with contextlib.suppress(OSError):
        # Invocations come first; a pull may take longer.
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    umask = os.umask(0)
    try:
        return _unpack(job)
    except (LayerError, TarError, BlobError) as error:
        refusal, is_full = str(error), False
    except OSError as error:
        refusal, is_full = error.strerror or str(error), error.errno in _NO_ROOM
    finally:
        os.umask(umask)
    remove_tree(job.target)
    return UnpackedLayer(refusal=refusal, is_full=is_full)


def _unpack(job: UnpackJob) -> UnpackedLayer:
    os.mkdir(job.target, 0o755)
    tree = f"{job.target}/tree"
    os.mkdir(tree, 0o755)
    with open(job.blob, "rb", buffering=0) as file:
        source = LayerBytes(file, job.bytes_max)
        stream = TarStream(source.read)
        layer = _Layer(tree, stream)
        for entry in stream:
            layer.add(entry)
        stream.drain()
        source.finish()
    if source.digest != job.digest:
        raise LayerError(f"its bytes are not those of sha256:{job.digest}")
    if source.diff_id != job.diff_id:
        raise LayerError(f"its unpacked bytes are not those of sha256:{job.diff_id}")
    layer.finish()
    with open(f"{job.target}/layer.json", "w") as description:
        json.dump(
            {
                "whiteouts": sorted(layer.whiteouts),
                "opaque": sorted(layer.opaque),
                "is_overlay": layer.is_overlay,
                "bytes": source.size_bytes,
            },
            description,
        )
    return UnpackedLayer(source.size_bytes, layer.entries, tuple(layer.notes()))


class _Layer(Struct):
    """The tree as it grows. `kinds`: relative name → d, f (file or fifo), l (symbolic link) or w (whiteout)."""

    root: str
    stream: TarStream
    kinds: dict[str, str] = field(default_factory=lambda: {"": "d"})
    links: dict[str, str] = field(default_factory=dict)
    directories: dict[str, tuple[int, int]] = field(default_factory=dict)
    opaque: set[str] = field(default_factory=set)
    whiteouts: set[str] = field(default_factory=set)
    entries: int = 0
    is_overlay: bool = True
    replaced: int = 0
    attributes: int = 0
    set_ids: int = 0
    devices: int = 0

    def add(self, entry: TarEntry) -> None:
        """Take in one entry. Raises LayerError, TarError, OSError."""
        self.entries += 1
        if self.entries > ENTRIES_MAX:
            raise LayerError(f"it has more than {ENTRIES_MAX} entries")
        self.attributes += any(name.startswith(("SCHILY.xattr.", "LIBARCHIVE.xattr.")) for name in entry.extended)
        name = _clean(entry.name)
        if name == "":
            if entry.kind == tar_stream.DIRECTORY:
                self.directories[""] = (entry.mode, entry.mtime_ns)
            return
        parent, base = posixpath.split(name)
        parent = self._real_parent(parent)
        if base.startswith(_WHITEOUT):
            self._remove(parent, base)
            return
        name = f"{parent}/{base}" if parent else base
        match entry.kind:
            case tar_stream.FILE:
                self._write(name, entry)
            case tar_stream.DIRECTORY:
                self._make_directory(name)
                self.directories[name] = (entry.mode, entry.mtime_ns)
            case tar_stream.SYMBOLIC_LINK:
                self._link(name, entry)
            case tar_stream.HARD_LINK:
                self._hard_link(name, entry)
            case tar_stream.FIFO:
                self._clear(name)
                os.mkfifo(self._path(name), entry.mode & 0o777)
                self.kinds[name] = "f"
            case tar_stream.CHARACTER | tar_stream.BLOCK:
                self._leave_out(name)
            case _:
                raise LayerError(f"{_shown(entry.name)} is of a kind that is not unpacked ({entry.kind!r})")

    def finish(self) -> None:
        """Give directories their modes and times, deepest first: until now they had to be writable."""
        for name, (mode, mtime_ns) in sorted(self.directories.items(), reverse=True):
            path = self._path(name)
            # The owner's rights are for us, who remove it one day; nobody is the owner inside.
            os.chmod(path, mode & 0o1777 | 0o700)
            os.utime(path, ns=(mtime_ns, mtime_ns))

    def notes(self) -> Iterator[str]:
        """Yield what was left out."""
        if self.attributes:
            yield f"extended attributes of {self.attributes} files are left out"
        if self.set_ids:
            yield f"set-user and set-group bits of {self.set_ids} files are left out"
        if self.devices:
            yield f"{self.devices} device nodes below /dev are left out"

    def _write(self, name: str, entry: TarEntry) -> None:
        self._clear(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        if entry.mode & 0o6000:
            self.set_ids += 1
        fd = os.open(self._path(name), flags, entry.mode & 0o777 | 0o400)
        try:
            for piece in self.stream.content():
                while piece:
                    piece = piece[os.write(fd, piece) :]
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)
        self.kinds[name] = "f"

    def _link(self, name: str, entry: TarEntry) -> None:
        if not entry.link or "\0" in entry.link:
            raise LayerError(f"{_shown(entry.name)} is a link to nothing")
        self._clear(name)
        path = self._path(name)
        os.symlink(os.fsencode(entry.link), path)
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)
        self.kinds[name] = "l"
        self.links[name] = entry.link

    def _hard_link(self, name: str, entry: TarEntry) -> None:
        parent, base = posixpath.split(_clean(entry.link))
        parent = self._real_parent(parent, is_made=False)
        target = f"{parent}/{base}" if parent else base
        if self.kinds.get(target) not in ("f", "l") or target == name:
            raise LayerError(f"{_shown(entry.name)} is a hard link to {_shown(entry.link)}, which its layer has not")
        self._clear(name)
        os.link(self._path(target), self._path(name), follow_symlinks=False)
        self.kinds[name] = self.kinds[target]
        if target in self.links:
            self.links[name] = self.links[target]

    def _leave_out(self, name: str) -> None:
        # Debian's and others' roots bring nodes below /dev, where every sandbox shows its own; elsewhere they are wrong
        # and the image is refused.
        if not name.startswith("dev/"):
            raise LayerError(f"/{_shown(name)} is a device node")
        self.devices += 1

    def _remove(self, parent: str, base: str) -> None:
        """Say that a lower layer's name is gone. Source: OCI image specification, "Whiteouts"."""
        if base == _OPAQUE:
            self._make_opaque(parent)
            return
        name = base.removeprefix(_WHITEOUT)
        if name.startswith(_WHITEOUT):
            # What AUFS wrote for itself.
            return
        if name in ("", ".", ".."):
            raise LayerError("a whiteout of nothing")
        target = f"{parent}/{name}" if parent else name
        present = self.kinds.get(target)
        if present == "d":
            self._make_opaque(target)
        elif present is None:
            self.kinds[target] = "w"
            self.whiteouts.add(target)
            try:
                os.mknod(self._path(target), stat.S_IFCHR)
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EINVAL, errno.ENOTSUP):
                    raise
                self.is_overlay = False

    def _make_opaque(self, name: str) -> None:
        self.opaque.add(name)
        try:
            os.setxattr(self._path(name), OPAQUE_ATTRIBUTE, b"y")
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP):
                raise
            self.is_overlay = False

    def _make_directory(self, name: str) -> None:
        if self.kinds.get(name) == "d":
            return
        was_removed = self.kinds.get(name) == "w"
        self._clear(name)
        os.mkdir(self._path(name), 0o755)
        self.kinds[name] = "d"
        if was_removed:
            self._make_opaque(name)

    def _clear(self, name: str) -> None:
        """Make place for a name: the last of several entries counts."""
        present = self.kinds.get(name)
        if present is None:
            return
        if present == "d":
            self.replaced += 1
            if self.replaced > _REPLACED_DIRECTORIES_MAX:
                raise LayerError("it turns too many directories into files")
            shutil.rmtree(self._path(name))
            for gone in [each for each in self.kinds if each.startswith(f"{name}/")]:
                self._forget(gone)
        elif present != "w" or self.is_overlay or os.path.lexists(self._path(name)):
            os.unlink(self._path(name))
        self._forget(name)

    def _forget(self, name: str) -> None:
        del self.kinds[name]
        self.links.pop(name, None)
        self.directories.pop(name, None)
        self.opaque.discard(name)
        self.whiteouts.discard(name)

    def _real_parent(self, name: str, *, is_made: bool = True) -> str:
        """Return the directory that a name means, links of this layer followed inside it; made where it is missing."""
        if self.kinds.get(name) == "d":
            return name
        rest = name.split("/")[::-1]
        done: list[str] = []
        followed = 0
        while rest:
            part = rest.pop()
            if part in ("", "."):
                continue
            if part == "..":
                # The way up ends at the root, as for a process inside.
                del done[-1:]
                continue
            path = "/".join((*done, part))
            kind = self.kinds.get(path)
            if kind == "l":
                followed += 1
                if followed > _LINKS_FOLLOWED_MAX:
                    raise LayerError(f"/{_shown(name)} leads through too many links")
                target = self.links[path]
                if target.startswith("/"):
                    done.clear()
                rest.extend(target.split("/")[::-1])
                if len(rest) > DEPTH_MAX * 4:
                    raise LayerError(f"/{_shown(name)} leads through too many links")
                continue
            if kind != "d":
                if not is_made:
                    return path
                self._make_directory(path)
            done.append(part)
        if len(done) > DEPTH_MAX:
            raise LayerError(f"/{_shown(name)} lies more than {DEPTH_MAX} directories deep")
        return "/".join(done)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root


def remove_tree(path: str) -> None:
    """Remove a tree, whatever it is; what cannot be removed stays."""
    shutil.rmtree(path, ignore_errors=True)


def _clean(name: str) -> str:
    """Return a member's name without detours. Raises LayerError for one that leads out."""
    if "\0" in name:
        raise LayerError("a name holds a NUL")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise LayerError(f"{_shown(name)} leads out of the image")
    if len(parts) > DEPTH_MAX:
        raise LayerError(f"/{_shown(name)} lies more than {DEPTH_MAX} directories deep")
    return "/".join(parts)


def _shown(name: str) -> str:
    text = name if len(name) <= 100 else f"{name[:97]}..."
    return text.encode("utf-8", "replace").decode() if text.isprintable() else ascii(text)
