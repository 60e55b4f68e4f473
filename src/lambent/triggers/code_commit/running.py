"""The parts of CodeCommit, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.triggers.code_commit.deliveries import PushDeliveries
from lambent.triggers.code_commit.destinations import TriggerDestinations
from lambent.triggers.code_commit.git import Git
from lambent.triggers.code_commit.operations import CodeCommitOperations, OperationParts
from lambent.triggers.code_commit.smart_http import SmartHttp

if TYPE_CHECKING:
    from lambent.triggers.code_commit.parts import CodeCommitParts


class RunningRepositories:
    """Scope: process; the parts say what they own. `operations` are those of CodeCommit."""

    def __init__(self, parts: CodeCommitParts) -> None:
        git = Git(parts.directory, parts.search_path)
        destinations = TriggerDestinations(parts.targets)
        self.deliveries = PushDeliveries(parts.resources, git, destinations, parts.clock)
        self.operations = CodeCommitOperations(
            OperationParts(parts.resources, git, self.deliveries, destinations, parts.clock, parts.random_bytes)
        )
        self.operations.default_region = parts.region
        self.smart_http = SmartHttp(parts.resources, git, self.deliveries)
