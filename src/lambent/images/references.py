"""References to images: registry, repository, tag or digest. Pure.

Source: the distribution project's grammar of references; what has no registry is Docker's own, as everywhere.
"""

from __future__ import annotations

import re

from msgspec import Struct

DEFAULT_REGISTRY = "docker.io"
_DEFAULT_TAG = "latest"
_LENGTH_MAX = 1024
_REGISTRY = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::\d{1,5})?")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class ImageReference(Struct, frozen=True):
    """One reference, complete. `digest` is lower-case hex of a manifest's SHA-256; where it is given no tag counts."""

    registry: str
    repository: str
    tag: str = _DEFAULT_TAG
    digest: str | None = None

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    @property
    def asked(self) -> str:
        """What a registry is asked for: the digest if there is one, else the tag."""
        return self.tag if self.digest is None else f"sha256:{self.digest}"

    def __str__(self) -> str:
        """Return it written out in full."""
        return f"{self.name}@sha256:{self.digest}" if self.digest is not None else f"{self.name}:{self.tag}"


def parse_reference(text: str) -> ImageReference | None:
    """Return a reference, or None for a text that is none.

    "python:3.12" is docker.io/library/python:3.12, as for every other tool.
    """
    if len(text) > _LENGTH_MAX:
        return None
    rest, at, digest_text = text.partition("@")
    digest = _DIGEST.fullmatch(digest_text) if at else None
    if at and digest is None:
        return None
    head, slash, tail = rest.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        registry, rest = head, tail
    else:
        registry = DEFAULT_REGISTRY
    if registry in ("index.docker.io", "registry-1.docker.io"):
        registry = DEFAULT_REGISTRY
    repository, colon, tag = rest.partition(":")
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    if _REGISTRY.fullmatch(registry) is None or _REPOSITORY.fullmatch(repository) is None:
        return None
    if colon and _TAG.fullmatch(tag) is None:
        return None
    return ImageReference(registry.lower(), repository, tag or _DEFAULT_TAG, None if digest is None else digest[1])
