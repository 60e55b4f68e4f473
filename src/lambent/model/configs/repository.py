"""Repositories of CodeCommit, as they are kept; their commits are git's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class RepositoryTrigger(Struct, frozen=True, eq=False):
    """Who is told of changes. `branches` empty: all branches and tags. `events` are AWS's words, or "all" alone."""

    name: str
    destination_arn: str
    events: tuple[str, ...]
    branches: tuple[str, ...] = ()
    custom_data: str | None = None


class Repository(Struct, frozen=True, eq=False):
    """A repository. Times in ms of the Unix epoch. `configuration_id` names the whole of its triggers.

    `default_branch` None: nothing was pushed yet.
    """

    account_id: str
    region: str
    name: str
    revision_id: str
    repository_id: str
    created_ms: int
    modified_ms: int
    description: str | None = None
    default_branch: str | None = None
    kms_key_id: str | None = None
    configuration_id: str = ""
    triggers: tuple[RepositoryTrigger, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:codecommit:{self.region}:{self.account_id}:{self.name}"


class GitRequest(NamedTuple):
    """A request of git's smart HTTP about a repository. `path` begins after its name; `pusher` is who signed in.

    `body` is a file, or bytes that fit into memory.
    """

    account_id: str
    region: str
    name: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Path | bytes
    pusher: str
