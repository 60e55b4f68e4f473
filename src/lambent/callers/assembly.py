"""Callers that are no schedules and no embedded services: CodeCommit's repositories, and Alexa."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lambent.api import HttpResponse, LocalRequest, LocalRoute

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.clock import Clock
    from lambent.settings import Settings
    from lambent.store import Resources
    from lambent.triggers.alexa import SkillRequest, SkillRequests
    from lambent.triggers.code_commit import CodeCommit
    from lambent.triggers.schedules import TargetParts
    from lambent.wire.http_client import HttpClient

_JSON = (("Content-Type", "application/json;charset=UTF-8"),)


class CallerParts(NamedTuple):
    """What they are made of."""

    settings: Settings
    data_directory: Path
    resources: Resources
    targets: TargetParts
    http: HttpClient
    clock: Clock


class Callers:
    """Scope: process. What Alexa needs is loaded by its first request. `services`: those served here, by name."""

    def __init__(self, parts: CallerParts, services: dict[str, Callable[[], object]]) -> None:
        from lambent.triggers.code_commit import CodeCommit, CodeCommitParts

        self._parts = parts
        self._skills: SkillRequests | None = None
        settings = parts.settings
        self.code_commit: CodeCommit = CodeCommit(
            CodeCommitParts(
                parts.resources,
                parts.targets,
                Path(settings.codecommit.directory or parts.data_directory / "codecommit"),
                settings.machine.path,
                settings.account.region,
                parts.clock,
                os.urandom,
            )
        )
        own = settings.neighbours.services.get("codecommit")
        if own is None or not own.endpoint:
            services["codecommit"] = self.code_commit.operations

    def routes(self) -> list[LocalRoute]:
        """Return the routes of skills: what Alexa sends signed, and what our own command sends in its place."""

        async def signed(request: LocalRequest) -> HttpResponse:
            return HttpResponse(*_answer(*await self._begun().signed(_skill_request(request))))

        async def simulated(request: LocalRequest) -> HttpResponse:
            return HttpResponse(*_answer(*await self._begun().simulated(_skill_request(request))))

        return [
            LocalRoute("POST", "/_lambent/v1/alexa/{function}", signed, is_public=True),
            LocalRoute("POST", "/_lambent/v1/alexa/{function}/simulations", simulated),
        ]

    def _begun(self) -> SkillRequests:
        if self._skills is None:
            from lambent.triggers.alexa import SignatureRules, SkillParts, SkillRequests

            parts, settings = self._parts, self._parts.settings
            self._skills = SkillRequests(
                SkillParts(
                    SignatureRules(
                        settings.alexa.verify,
                        settings.alexa.tolerance_seconds,
                        settings.alexa.certificates_at,
                        settings.alexa.roots,
                    ),
                    parts.targets.invoke,
                    parts.targets.permits,
                    parts.targets.knows,
                    parts.http,
                    parts.clock,
                    os.urandom,
                    settings.account.default_id,
                    settings.account.region,
                )
            )
        return self._skills


def _skill_request(request: LocalRequest) -> SkillRequest:
    from lambent.triggers.alexa import SkillRequest

    said = {name: values[0] for name, values in request.query.items()}
    return SkillRequest(
        function=request.parameters["function"],
        qualifier=said.get("qualifier"),
        headers=request.headers,
        body=request.body,
        place=None if request.caller is None else (request.caller.account_id, request.caller.region),
        kind=said.get("kind", "custom"),
        skill=said.get("skill", ""),
    )


def _answer(status: int, body: bytes) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    return status, _JSON, body
