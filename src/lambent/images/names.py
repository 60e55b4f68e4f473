"""Names that imported images answer for, without any registry."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.images.references import ImageReference
    from lambent.images.trees import ImageTrees

_FILE = "names.json"


class ImageNames:
    """`names.json`: reference → digest of manifest or index, and of the manifest of each architecture. Scope: node."""

    def __init__(self, trees: ImageTrees) -> None:
        self._trees = trees
        self._lock = asyncio.Lock()
        self._names: dict[str, dict[str, object]] | None = None

    async def find(self, reference: ImageReference) -> dict[str, str] | None:
        """Return architecture → digest of what a reference means; None when it was not imported."""
        names = await self._read()
        if reference.digest is None:
            entry = names.get(str(reference))
            return None if entry is None else _manifests(entry)
        for text, entry in names.items():
            manifests = _manifests(entry)
            if text.startswith((f"{reference.name}:", f"{reference.name}@")):
                if entry["digest"] == reference.digest:
                    return manifests
                if reference.digest in manifests.values():
                    return {key: value for key, value in manifests.items() if value == reference.digest}
        return None

    async def all(self) -> Mapping[str, dict[str, object]]:
        """Return every name with its digests."""
        return await self._read()

    async def put(self, reference: ImageReference, digest: str, manifests: Mapping[str, str]) -> None:
        """Let a reference mean an image, durably. Raises OSError."""
        async with self._lock:
            entry: dict[str, object] = {"digest": digest, "manifests": dict(manifests)}
            names = {**await self._read(), str(reference): entry}
            await self._trees.write_document(_FILE, names)
            self._names = names

    async def remove(self, reference: ImageReference) -> bool:
        """Take a name away; False when there was none. Raises OSError."""
        async with self._lock:
            names = dict(await self._read())
            if names.pop(str(reference), None) is None:
                return False
            await self._trees.write_document(_FILE, names)
            self._names = names
            return True

    async def digests(self) -> set[str]:
        """Return the digests of all images that have a name."""
        return {digest for entry in (await self._read()).values() for digest in _manifests(entry).values()}

    async def _read(self) -> dict[str, dict[str, object]]:
        if self._names is None:
            document = await self._trees.read_document(_FILE)
            names: dict[str, dict[str, object]] = {}
            if isinstance(document, dict):
                names = {name: entry for name, entry in document.items() if isinstance(entry, dict)}
            self._names = names
        return self._names


def _manifests(entry: Mapping[str, object]) -> dict[str, str]:
    manifests = entry.get("manifests")
    return {str(key): str(value) for key, value in manifests.items()} if isinstance(manifests, dict) else {}
