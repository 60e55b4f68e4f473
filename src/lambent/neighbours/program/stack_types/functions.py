"""AWS::Lambda::Function: a function with all that a template says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambent.neighbours.program.stack_types.operations import ResourceFailedError, returned_message
from lambent.neighbours.program.stack_types.packages import inline_package
from lambent.neighbours.program.stack_types.properties import (
    FUNCTION,
    FUNCTION_DEFAULTS,
    TYPES,
    changed,
    members,
    tag_mapping,
    with_defaults,
)

if TYPE_CHECKING:
    from lambent.neighbours.program.stack_types.operations import Operations
    from lambent.neighbours.program.stack_types.properties import Properties

    Made = tuple[str, dict[str, Any]]

# Properties with operations of their own, and those that CreateFunction knows by other members.
_APART = frozenset(
    {"FunctionScalingConfig", "RecursiveLoop", "ReservedConcurrentExecutions", "RuntimeManagementConfig"}
)
_CODE = frozenset({"Architectures", "Code"})
_CREATED = tuple(sorted(TYPES[FUNCTION].properties - _APART - {"Code"}))
_CONFIGURED = TYPES[FUNCTION].properties - _APART - _CODE - {
    "CodeSigningConfigArn", "FunctionName", "PackageType", "PublishToLatestPublished", "Tags", "TenancyConfig",
}  # fmt: skip


class Functions:
    """Makes, changes and removes functions. Scope: process; keeps nothing."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def create(self, name: str, properties: Properties) -> Made:
        """Make a function that is ready; of one that cannot be finished nothing stays. Raises ResourceFailedError."""
        call = self._operations.call
        given = members({**properties, "FunctionName": name}, *_CREATED)
        if "PackageType" not in given and (properties.get("Code") or {}).get("ImageUri"):
            given["PackageType"] = "Image"
        call("CreateFunction", **given, Code=code(properties))
        try:
            found = self._wait_ready(name)
            for one in _APART:
                if properties.get(one) is not None:
                    self._apply(name, one, properties[one])
        except ResourceFailedError:
            self.delete(name)
            raise
        return name, attributes(found)

    def update(self, name: str, old: Properties, new: Properties) -> Made:
        """Change a function in place. Raises ResourceFailedError; the stack changes back what was changed before."""
        call = self._operations.call
        names = changed(old, new, _CONFIGURED)
        if names:
            call("UpdateFunctionConfiguration", FunctionName=name, **_configuration(old, new, names))
            self._wait_ready(name)
        if code(old) != code(new) or changed(old, new, _CODE):
            asked = {"Architectures": new.get("Architectures") or ["x86_64"]}
            call("UpdateFunctionCode", FunctionName=name, **code(new), **asked)
            self._wait_ready(name)
        if changed(old, new, ("CodeSigningConfigArn",)):
            self._sign(name, new.get("CodeSigningConfigArn"))
        for one in changed(old, new, _APART):
            self._apply(name, one, new.get(one))
        found = call("GetFunctionConfiguration", FunctionName=name)
        change_tags(self._operations, found["FunctionArn"], old, new)
        return name, attributes(found)

    def delete(self, name: str) -> None:
        """Remove a function with its versions and aliases; one that is gone is nothing to do."""
        self._operations.find("DeleteFunction", FunctionName=name)

    def _wait_ready(self, name: str, qualifier: str | None = None) -> dict[str, Any]:
        return wait_ready(self._operations, name, qualifier)

    def _sign(self, name: str, arn: str | None) -> None:
        if arn:
            self._operations.call("PutFunctionCodeSigningConfig", FunctionName=name, CodeSigningConfigArn=arn)
        else:
            self._operations.find("DeleteFunctionCodeSigningConfig", FunctionName=name)

    def _apply(self, name: str, one: str, value: Any) -> None:
        """Give a function what has an operation of its own; None takes it away."""
        call = self._operations.call
        if one == "ReservedConcurrentExecutions":
            if value is None:
                call("DeleteFunctionConcurrency", FunctionName=name)
            else:
                call("PutFunctionConcurrency", FunctionName=name, ReservedConcurrentExecutions=value)
        elif one == "RecursiveLoop":
            call("PutFunctionRecursionConfig", FunctionName=name, RecursiveLoop=value or "Terminate")
        elif one == "RuntimeManagementConfig":
            call("PutRuntimeManagementConfig", FunctionName=name, **(value or {"UpdateRuntimeOn": "Auto"}))
        elif value is not None:
            scaling = {"FunctionScalingConfig": value}
            call("PutFunctionScalingConfig", FunctionName=name, Qualifier="$LATEST.PUBLISHED", **scaling)


def code(properties: Properties) -> dict[str, Any]:
    """Return the code's members as Lambda has them."""
    given = properties.get("Code")
    if not isinstance(given, dict):
        return {}
    if given.get("ZipFile") is None:
        return given
    return {**given, "ZipFile": inline_package(str(given["ZipFile"]), str(properties.get("Runtime") or ""))}


def attributes(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return what Fn::GetAtt knows of a function."""
    snap_start = configuration.get("SnapStart") or {"ApplyOn": "None", "OptimizationStatus": "Off"}
    return {
        "Arn": configuration["FunctionArn"],
        "SnapStartResponse": snap_start,
        "SnapStartResponse.ApplyOn": snap_start.get("ApplyOn", "None"),
        "SnapStartResponse.OptimizationStatus": snap_start.get("OptimizationStatus", "Off"),
    }


def wait_ready(operations: Operations, name: str, qualifier: str | None = None) -> dict[str, Any]:
    """Return a function's configuration when it is Active and no update is under way. Raises ResourceFailedError."""
    found: dict[str, Any] = {}

    def is_done() -> bool:
        found.clear()
        found.update(operations.call("GetFunctionConfiguration", FunctionName=name, Qualifier=qualifier))
        return found.get("State") != "Pending" and found.get("LastUpdateStatus") != "InProgress"

    operations.wait(is_done)
    for state, reason in (("State", "StateReason"), ("LastUpdateStatus", "LastUpdateStatusReason")):
        if found.get(state) == "Failed":
            raise ResourceFailedError(returned_message(str(found.get(reason) or "Function failed"), "NotStabilized"))
    return found


def change_tags(operations: Operations, arn: str, old: Properties, new: Properties) -> None:
    """Give a resource the tags that a template has for it now; others that it has stay."""
    before, after = tag_mapping(old.get("Tags")), tag_mapping(new.get("Tags"))
    gone = sorted(before.keys() - after.keys())
    if gone:
        operations.call("UntagResource", Resource=arn, TagKeys=gone)
    put = {key: value for key, value in after.items() if before.get(key) != value}
    if put:
        operations.call("TagResource", Resource=arn, Tags=put)


def _configuration(old: Properties, new: Properties, names: tuple[str, ...]) -> dict[str, Any]:
    given = with_defaults(new, names, FUNCTION_DEFAULTS)
    if "LoggingConfig" in names and new.get("LoggingConfig") is None:
        given["LoggingConfig"] = {"LogFormat": "Text"}
    # An image's entry point changes with the package; the others belong to those without.
    return members(given, *given)
