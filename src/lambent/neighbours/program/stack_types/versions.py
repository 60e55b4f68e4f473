"""AWS::Lambda::Version, Alias, EventInvokeConfig and Url: what hangs on a function and is known by a qualifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambent.neighbours.program.stack_types.functions import wait_ready
from lambent.neighbours.program.stack_types.operations import ResourceFailedError, returned_message
from lambent.neighbours.program.stack_types.properties import changed, members, weights

if TYPE_CHECKING:
    from lambent.neighbours.program.stack_types.operations import Operations
    from lambent.neighbours.program.stack_types.properties import Properties

    Made = tuple[str, dict[str, Any]]

_CONCURRENCY = "ProvisionedConcurrencyConfig"


class Versions:
    """Makes, changes and removes versions and aliases. Scope: process; keeps nothing."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def publish(self, properties: Properties) -> Made:
        """Publish a version; one that was there already is an error, as only a changed function has a new one."""
        call = self._operations.call
        function = str(properties["FunctionName"])
        before = self._numbers(function)
        found = call("PublishVersion", **members(properties, "FunctionName", "CodeSha256", "Description"))
        number, arn = found["Version"], found["FunctionArn"]
        if number in before:
            text = (
                f"A version for this Lambda function exists ( {number} ). Modify the function to create a new version."
            )
            raise ResourceFailedError(returned_message(text, "AlreadyExists"))
        try:
            wait_ready(self._operations, function, number)
            if properties.get("RuntimePolicy"):
                policy = properties["RuntimePolicy"]
                call("PutRuntimeManagementConfig", FunctionName=function, Qualifier=number, **policy)
            self._provision(function, number, properties.get(_CONCURRENCY))
            self._scale(function, number, properties)
        except ResourceFailedError:
            self.unpublish(arn)
            raise
        return arn, _version(arn)

    def update_version(self, arn: str, new: Properties) -> Made:
        """Change what of a version can be changed. Raises ResourceFailedError."""
        self._scale(str(new["FunctionName"]), arn.rpartition(":")[2], new)
        return arn, _version(arn)

    def unpublish(self, arn: str) -> None:
        """Remove a version; one that is gone is nothing to do."""
        function, _, number = arn.rpartition(":")
        self._operations.find("DeleteFunction", FunctionName=function, Qualifier=number)

    def create_alias(self, properties: Properties) -> Made:
        """Make an alias. Raises ResourceFailedError."""
        given = members(properties, "Name", "FunctionName", "FunctionVersion", "Description")
        found = self._operations.call("CreateAlias", **given, RoutingConfig=weights(properties.get("RoutingConfig")))
        arn = found["AliasArn"]
        try:
            self._provision(given["FunctionName"], given["Name"], properties.get(_CONCURRENCY))
        except ResourceFailedError:
            self.delete_alias(arn)
            raise
        return arn, {"AliasArn": arn}

    def update_alias(self, arn: str, old: Properties, new: Properties) -> Made:
        """Change an alias in place. Raises ResourceFailedError."""
        given = members(new, "Name", "FunctionName", "FunctionVersion")
        routing = weights(new.get("RoutingConfig")) or {"AdditionalVersionWeights": {}}
        described = str(new.get("Description") or "")
        self._operations.call("UpdateAlias", **given, Description=described, RoutingConfig=routing)
        if changed(old, new, (_CONCURRENCY,)):
            self._provision(given["FunctionName"], given["Name"], new.get(_CONCURRENCY))
        return arn, {"AliasArn": arn}

    def delete_alias(self, arn: str) -> None:
        """Remove an alias; one that is gone is nothing to do."""
        function, _, name = arn.rpartition(":")
        self._operations.find("DeleteAlias", FunctionName=function, Name=name)

    def _numbers(self, function: str) -> set[str]:
        numbers: set[str] = set()
        marker: str | None = None
        while True:
            page = self._operations.call("ListVersionsByFunction", FunctionName=function, Marker=marker)
            numbers.update(one["Version"] for one in page["Versions"])
            marker = page.get("NextMarker")
            if not marker:
                return numbers

    def _provision(self, function: str, qualifier: str, config: Any) -> None:
        """Give a qualifier its provisioned concurrency and wait until it is there; None takes it away."""
        where = {"FunctionName": function, "Qualifier": qualifier}
        if not config:
            self._operations.find("DeleteProvisionedConcurrencyConfig", **where)
            return
        self._operations.call("PutProvisionedConcurrencyConfig", **where, **config)
        found: dict[str, Any] = {}

        def is_done() -> bool:
            found.update(self._operations.call("GetProvisionedConcurrencyConfig", **where))
            return found.get("Status") != "IN_PROGRESS"

        self._operations.wait(is_done)
        if found.get("Status") == "FAILED":
            raise ResourceFailedError(returned_message(str(found.get("StatusReason")), "NotStabilized"))

    def _scale(self, function: str, number: str, properties: Properties) -> None:
        scaling = properties.get("FunctionScalingConfig")
        if scaling:
            where = {"FunctionName": function, "Qualifier": number}
            self._operations.call("PutFunctionScalingConfig", **where, FunctionScalingConfig=scaling)


class Configs:
    """Makes, changes and removes configurations of events and URLs. Scope: process; keeps nothing."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def create_events(self, properties: Properties) -> Made:
        """Make a configuration for events. Raises ResourceFailedError, also where there is one already."""
        where = _event_place(properties)
        if self._operations.find("GetFunctionEventInvokeConfig", **where) is not None:
            text = f"EventInvokeConfig for {where['FunctionName']}:{where['Qualifier']} already exists"
            raise ResourceFailedError(returned_message(text, "AlreadyExists"))
        return self.put_events(properties)

    def put_events(self, properties: Properties) -> Made:
        """Make or replace a configuration for events. Raises ResourceFailedError."""
        names = ("DestinationConfig", "MaximumEventAgeInSeconds", "MaximumRetryAttempts")
        where = _event_place(properties)
        self._operations.call("PutFunctionEventInvokeConfig", **where, **members(properties, *names))
        return f"{where['FunctionName']}|{where['Qualifier']}", {}

    def delete_events(self, properties: Properties) -> None:
        """Remove a configuration for events; one that is gone is nothing to do."""
        self._operations.find("DeleteFunctionEventInvokeConfig", **_event_place(properties))

    def create_url(self, properties: Properties) -> Made:
        """Make a function URL. Raises ResourceFailedError."""
        given = members(properties, "AuthType", "Cors", "InvokeMode")
        return _url(self._operations.call("CreateFunctionUrlConfig", **_url_place(properties), **given))

    def update_url(self, old: Properties, new: Properties) -> Made:
        """Change a function URL in place. Raises ResourceFailedError."""
        given = {"InvokeMode": "BUFFERED", **members(new, "AuthType", "Cors", "InvokeMode")}
        if old.get("Cors") is not None:
            given.setdefault("Cors", {})
        return _url(self._operations.call("UpdateFunctionUrlConfig", **_url_place(new), **given))

    def delete_url(self, properties: Properties) -> None:
        """Remove a function URL; one that is gone is nothing to do."""
        self._operations.find("DeleteFunctionUrlConfig", **_url_place(properties))


def _version(arn: str) -> dict[str, Any]:
    return {"FunctionArn": arn, "Version": arn.rpartition(":")[2]}


def _event_place(properties: Properties) -> dict[str, Any]:
    return members(properties, "FunctionName", "Qualifier")


def _url_place(properties: Properties) -> dict[str, Any]:
    return {"FunctionName": properties["TargetFunctionArn"], **members(properties, "Qualifier")}


def _url(found: dict[str, Any]) -> Made:
    return found["FunctionArn"], {"FunctionArn": found["FunctionArn"], "FunctionUrl": found["FunctionUrl"]}
