"""Types of Lambda that are no function: permissions, layers, mappings, signing and capacity."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from lambent.neighbours.program.stack_types.functions import change_tags
from lambent.neighbours.program.stack_types.operations import ResourceFailedError, returned_message
from lambent.neighbours.program.stack_types.properties import (
    EVENT_SOURCE_MAPPING,
    EVENT_SOURCE_MAPPING_DEFAULTS,
    TYPES,
    changed,
    members,
    with_defaults,
)

if TYPE_CHECKING:
    from lambent.neighbours.program.stack_types.operations import Operations
    from lambent.neighbours.program.stack_types.properties import Properties

    Made = tuple[str, dict[str, Any]]

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_STATEMENT_CHARACTERS_MAX = 100
_MAPPING = TYPES[EVENT_SOURCE_MAPPING]
_MAPPING_UPDATED = _MAPPING.properties - frozenset(_MAPPING.replacing) - {"Tags", "Topics", "Queues"}
_PROVIDER_CHANGING = frozenset({"Pending", "Updating"})


class Permissions:
    """Statements of policies of functions and layers. Scope: process; keeps nothing."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def add(self, stack_name: str, logical_id: str, properties: Properties) -> Made:
        """Add a statement to a function's policy. Raises ResourceFailedError."""
        statement = _statement_id(stack_name, logical_id)
        self._operations.call("AddPermission", StatementId=statement, **members(properties, *properties))
        return statement, {"Id": statement}

    def remove(self, statement: str, properties: Properties) -> None:
        """Remove it; one that is gone is nothing to do."""
        where = members(properties, "FunctionName")
        self._operations.find("RemovePermission", **where, StatementId=statement)

    def add_of_layer(self, stack_name: str, logical_id: str, properties: Properties) -> Made:
        """Add a statement to a layer version's policy. Raises ResourceFailedError."""
        arn = str(properties["LayerVersionArn"])
        statement = _statement_id(stack_name, logical_id)
        given = members(properties, "Action", "OrganizationId", "Principal")
        self._operations.call("AddLayerVersionPermission", **_layer_place(arn), StatementId=statement, **given)
        return f"{arn}#{statement}", {"Id": f"{arn}#{statement}"}

    def remove_of_layer(self, identifier: str) -> None:
        """Remove it; one that is gone is nothing to do."""
        arn, _, statement = identifier.rpartition("#")
        self._operations.find("RemoveLayerVersionPermission", **_layer_place(arn), StatementId=statement)


class Layers:
    """Layer versions. Scope: process; keeps nothing."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def publish(self, logical_id: str, properties: Properties) -> Made:
        """Publish a version of a layer, which has the resource's name where it has none. Raises ResourceFailedError."""
        given = {"LayerName": logical_id, **members(properties, *properties)}
        arn = self._operations.call("PublishLayerVersion", **given)["LayerVersionArn"]
        return arn, {"LayerVersionArn": arn, "Arn": arn}

    def delete(self, arn: str) -> None:
        """Remove a version of a layer; one that is gone is nothing to do."""
        self._operations.find("DeleteLayerVersion", **_layer_place(arn))


class Mappings:
    """Event source mappings. Scope: process; keeps nothing."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def create(self, properties: Properties) -> Made:
        """Make a mapping that works. Raises ResourceFailedError; nothing stays of one that cannot be made."""
        found = self._operations.call("CreateEventSourceMapping", **members(properties, *properties))
        try:
            self._wait_settled(found["UUID"])
        except ResourceFailedError:
            self.delete(found["UUID"])
            raise
        return found["UUID"], _mapping(found)

    def update(self, identifier: str, old: Properties, new: Properties) -> Made:
        """Change a mapping in place. Raises ResourceFailedError."""
        names = changed(old, new, _MAPPING_UPDATED)
        given = with_defaults(new, names, EVENT_SOURCE_MAPPING_DEFAULTS)
        found = self._operations.call("GetEventSourceMapping", UUID=identifier)
        if given:
            found = self._operations.call("UpdateEventSourceMapping", UUID=identifier, **members(given, *given))
            self._wait_settled(identifier)
        change_tags(self._operations, found["EventSourceMappingArn"], old, new)
        return identifier, _mapping(found)

    def delete(self, identifier: str) -> None:
        """Remove a mapping and return when it is gone; one that is gone is nothing to do."""
        if self._operations.find("DeleteEventSourceMapping", UUID=identifier) is not None:
            self._operations.wait(lambda: self._operations.find("GetEventSourceMapping", UUID=identifier) is None)

    def _wait_settled(self, identifier: str) -> None:
        def is_done() -> bool:
            state = self._operations.call("GetEventSourceMapping", UUID=identifier).get("State", "")
            return state not in ("Creating", "Updating", "Enabling", "Disabling")

        self._operations.wait(is_done)


class SigningConfigs:
    """Code signing configurations. Scope: process; keeps nothing."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def create(self, properties: Properties) -> Made:
        """Make a configuration. Raises ResourceFailedError."""
        return self._made(self._operations.call("CreateCodeSigningConfig", **members(properties, *properties)))

    def update(self, arn: str, old: Properties, new: Properties) -> Made:
        """Change a configuration in place. Raises ResourceFailedError."""
        given = {"Description": "", **members(new, "AllowedPublishers", "CodeSigningPolicies", "Description")}
        given.setdefault("CodeSigningPolicies", {"UntrustedArtifactOnDeployment": "Warn"})
        found = self._operations.call("UpdateCodeSigningConfig", CodeSigningConfigArn=arn, **given)
        change_tags(self._operations, arn, old, new)
        return self._made(found)

    def delete(self, arn: str) -> None:
        """Remove a configuration; one that is gone is nothing to do."""
        self._operations.find("DeleteCodeSigningConfig", CodeSigningConfigArn=arn)

    @staticmethod
    def _made(found: dict[str, Any]) -> Made:
        config = found["CodeSigningConfig"]
        known = {name: config[name] for name in ("CodeSigningConfigArn", "CodeSigningConfigId")}
        return config["CodeSigningConfigArn"], known


class CapacityProviders:
    """Capacity providers. Scope: process; keeps nothing."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def create(self, name: str, properties: Properties) -> Made:
        """Make a provider that is ready. Raises ResourceFailedError; of one that cannot be made nothing stays."""
        self._operations.call(
            "CreateCapacityProvider", **members({**properties, "CapacityProviderName": name}, *_own(properties))
        )
        try:
            return self._wait_ready(name)
        except ResourceFailedError:
            self.delete(name)
            raise

    def update(self, name: str, old: Properties, new: Properties) -> Made:
        """Change a provider in place. Raises ResourceFailedError."""
        if changed(old, new, ("CapacityProviderScalingConfig",)):
            given = members(new, "CapacityProviderScalingConfig")
            self._operations.call("UpdateCapacityProvider", CapacityProviderName=name, **given)
        made = self._wait_ready(name)
        change_tags(self._operations, made[1]["Arn"], old, new)
        return made

    def delete(self, name: str) -> None:
        """Remove a provider; one that is gone is nothing to do."""
        self._operations.find("DeleteCapacityProvider", CapacityProviderName=name)

    def _wait_ready(self, name: str) -> Made:
        found: dict[str, Any] = {}

        def is_done() -> bool:
            found.update(self._operations.call("GetCapacityProvider", CapacityProviderName=name)["CapacityProvider"])
            return found.get("State") not in _PROVIDER_CHANGING

        self._operations.wait(is_done)
        if found.get("State") == "Failed":
            raise ResourceFailedError(returned_message("The capacity provider has failed", "NotStabilized"))
        return name, {"Arn": found["CapacityProviderArn"], "State": found.get("State", "Active")}


def _own(properties: Properties) -> tuple[str, ...]:
    return ("CapacityProviderName", *(name for name in properties if name != "CapacityProviderName"))


def _statement_id(stack_name: str, logical_id: str) -> str:
    suffix = "".join(secrets.choice(_LETTERS) for _ in range(12))
    return f"{f'{stack_name}-{logical_id}'[: _STATEMENT_CHARACTERS_MAX - 13]}-{suffix}"


def _layer_place(arn: str) -> dict[str, Any]:
    name, _, number = arn.rpartition(":")
    return {"LayerName": name, "VersionNumber": number}


def _mapping(found: dict[str, Any]) -> dict[str, Any]:
    return {"Id": found["UUID"], "EventSourceMappingArn": found["EventSourceMappingArn"]}
