"""Puts SAM where MiniStack's stacks look for it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lambent.neighbours.program.sam.change_sets import FailingChangeSets
from lambent.neighbours.program.sam.http_bodies import HttpBodies
from lambent.neighbours.program.sam.rest_bodies import RestBodies
from lambent.neighbours.program.sam.transform import Expansion

if TYPE_CHECKING:
    from lambent.neighbours.program.bridge import Bridge

_PACKAGE = "ministack.services.cloudformation"


def register(_bridge: Bridge) -> None:
    """Let stacks expand SAM's templates with their parameters, ask for capabilities, and make APIs of OpenAPI."""
    modules: dict[str, Any] = {
        name: sys.modules[f"{_PACKAGE}.{name}"]
        for name in ("engine", "handlers", "changesets", "helpers", "provisioners")
    }
    responses: Any = sys.modules["ministack.core.responses"]
    expansion = Expansion(modules["engine"], responses.get_region)
    for name in ("engine", "handlers", "changesets"):
        vars(modules[name])["_apply_transforms"] = expansion.apply
    handlers = modules["handlers"]
    # Its own switch asks for them only where it checks all rights.
    vars(handlers)["_capabilities_enforced"] = lambda: True
    package: Any = sys.modules[_PACKAGE]
    change_sets = FailingChangeSets(handlers._ACTION_HANDLERS["CreateChangeSet"], modules, package._change_sets)
    handlers._ACTION_HANDLERS["CreateChangeSet"] = change_sets.create
    rows = modules["provisioners"]._RESOURCE_HANDLERS
    HttpBodies(modules["provisioners"]._apigw_v2, modules["provisioners"]).take_part(rows["AWS::ApiGatewayV2::Api"])
    RestBodies(modules["provisioners"]._apigw_v1).take_part(rows["AWS::ApiGateway::RestApi"])
