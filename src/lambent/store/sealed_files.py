"""Packages encrypted at rest: AES-256-GCM in pieces of a MiB, under a key derived from the installation's.

A file says what it is, so plain and sealed ones lie side by side and the setting may change at any time. Every piece is
bound to the package, its place and the whole size: nothing can be cut off, moved or mixed without being noticed.
"""

from __future__ import annotations

import os
import secrets
import struct
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lambent.model.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# No zip begins like this: its first bytes are those of an entry or of the empty archive's end.
_MAGIC = b"LBTSEAL1"
_HEADER = struct.Struct(">8sQ")
_PIECE_BYTES = 1 << 20
_NONCE_BYTES = 12
_TAG_BYTES = 16


def seal_file(source: Path, target: Path, key: bytes, name: str) -> None:
    """Write `source` sealed to `target`, which must not be there yet, and bring it to disk. `key` has 32 bytes."""
    cipher = AESGCM(key)
    with source.open("rb") as plain, target.open("xb") as sealed:
        size = os.fstat(plain.fileno()).st_size
        sealed.write(_HEADER.pack(_MAGIC, size))
        number = 0
        while piece := plain.read(_PIECE_BYTES):
            nonce = secrets.token_bytes(_NONCE_BYTES)
            sealed.write(nonce + cipher.encrypt(nonce, piece, _context(name, number, size)))
            number += 1
        sealed.flush()
        os.fsync(sealed.fileno())


def is_sealed(path: Path) -> bool:
    """Whether the file was written by `seal_file`."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def plain_blocks(path: Path, key: bytes, name: str) -> Iterator[bytes]:
    """Yield what was sealed, each block after it was checked; a plain file as it is.

    Raises:
        ServiceError: another key sealed it, or it was changed (500).
    """
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
        if not head.startswith(_MAGIC):
            yield head
            while block := file.read(_PIECE_BYTES):
                yield block
            return
        left = size = _unpacked(head, name)
        cipher, number = AESGCM(key), 0
        while left > 0:
            sealed = file.read(_NONCE_BYTES + min(left, _PIECE_BYTES) + _TAG_BYTES)
            try:
                piece = cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _context(name, number, size))
            except (InvalidTag, ValueError):
                raise _damaged(name) from None
            yield piece
            left -= len(piece)
            number += 1


def _unpacked(head: bytes, name: str) -> int:
    if len(head) < _HEADER.size:
        raise _damaged(name)
    return int(_HEADER.unpack(head)[1])


def _context(name: str, number: int, size: int) -> bytes:
    return f"{name}/{number}/{size}".encode()


def _damaged(name: str) -> ServiceError:
    return ServiceError(f"The package {name} cannot be opened: it was changed, or sealed with another key.")
