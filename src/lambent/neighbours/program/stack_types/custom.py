"""Custom resources: the event that a function gets, the address it answers to, and what its answer means.

Source: CloudFormation user guide, "Custom resources" and "Custom resource request and response objects".
"""

from __future__ import annotations

import json
import os
import time
import uuid
from typing import TYPE_CHECKING, Any

from lambent.neighbours.program.stack_types.operations import ResourceFailedError

if TYPE_CHECKING:
    from lambent.neighbours.program.bridge import Bridge

    Properties = dict[str, Any]
    Made = tuple[str, dict[str, Any]]

_TIMEOUT_SECONDS = 3600
_RESPONSE_BYTES_MAX = 4096
_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_PASSING = frozenset({"TooManyRequestsException", "ServiceException", "ServiceUnavailable"})
_PATH = "/_lambent/v1/stacks/responses/"
_NO_ANSWER = (
    "CloudFormation did not receive a response from your Custom Resource. Please check your logs for requestId "
    "[{}]. If you are using the Python cfn-response module, you may need to update your Lambda function code so that "
    "CloudFormation can attach the updated version."
)


class CustomResources:
    """Calls functions of custom resources, as events. Scope: process; what waits for an answer ends with it.

    `module` is MiniStack's, which keeps who waits for which answer; `stacks` has the stacks by their names.
    """

    def __init__(self, bridge: Bridge, module: Any, stacks: Any) -> None:
        self._bridge = bridge
        self._module = module
        self._stacks = stacks
        self._base = os.environ.get("LAMBENT_RESPONSES", "http://127.0.0.1:4566")

    def take_part(self) -> None:
        """Stand in the place of MiniStack's function from now on."""
        vars(self._module)["invoke_custom_resource"] = self.invoke

    def invoke(
        self,
        request_type: str,
        logical_id: str,
        properties: Properties,
        stack_name: str,
        stack_id: str,
        resource_type: str,
        physical_id: str | None = None,
        old_props: Properties | None = None,
    ) -> Made:
        """Let a function make, change or remove a resource; return its physical id and attributes.

        Raises ResourceFailedError; a resource that cannot be made is removed again before that.
        """
        written = self._module._normalise_resource_properties
        function = str(properties.get("ServiceToken", ""))
        if not function.startswith("arn:"):
            raise ResourceFailedError(f"Invalid service token: {function}")
        event = {
            "RequestType": request_type, "ServiceToken": function, "ResponseURL": "", "StackId": stack_id,
            "RequestId": "", "LogicalResourceId": logical_id,
            **({} if physical_id is None else {"PhysicalResourceId": physical_id}),
            "ResourceType": resource_type, "ResourceProperties": written(properties),
        }  # fmt: skip
        if old_props is not None:
            event["OldResourceProperties"] = written(old_props)
        seconds = _timeout(properties)
        try:
            answer = self._ask(event, seconds)
            made = _made(answer, event, physical_id)
        except _FailedError as error:
            if request_type == "Create" and self._is_rolled_back(stack_name):
                self._remove_again(event, error.physical_id or _generated(stack_name, logical_id), seconds)
            raise ResourceFailedError(str(error)) from None
        return made

    def _ask(self, event: Properties, seconds: int) -> Properties:
        """Call the function and return what it answers to the address that it gets. Raises _FailedError."""
        token, request_id = uuid.uuid4().hex, str(uuid.uuid4())
        region = event["ServiceToken"].split(":")[3].replace("-", "")
        event |= {"RequestId": request_id, "ResponseURL": f"{self._base.format(region=region)}{_PATH}{token}"}
        answered = self._module.register_token(token)
        pending: dict[str, Any] = self._module._pending
        try:
            self._call(event)
            answered.wait(seconds)
            answer = pending[token]["result"]
        finally:
            pending.pop(token, None)
        if answer is None:
            raise _FailedError(_NO_ANSWER.format(request_id))
        return dict(answer)

    def _call(self, event: Properties) -> None:
        function = event["ServiceToken"]
        account = function.split(":")[4]
        if ":sns:" in function:
            raise _FailedError(f"Service tokens that are topics are not supported here: {function}")
        source = self._bridge.caller("cloudformation")._replace(
            arn=event["StackId"], account=event["StackId"].split(":")[4], has_role=True, is_event=True
        )
        if source.account != account:
            # Another account's function is asked by its policy.
            source = source._replace(has_role=False)
        for pause in (*_PAUSES_SECONDS, None):
            code, _, text = self._bridge.exchange(function, source, event)
            if not code:
                return
            if code not in _PASSING or pause is None:
                break
            time.sleep(pause)
        status = {"ResourceNotFoundException": 404, "AccessDeniedException": 403}.get(code, 400)
        said = (
            f"(Service: AWSLambda; Status Code: {status}; Error Code: {code}; Request ID: {uuid.uuid4()}; Proxy: null)"
        )
        raise _FailedError(f"{text.decode('utf-8', 'replace')} {said}")

    def _remove_again(self, event: Properties, physical_id: str, seconds: int) -> None:
        """What a function may have made before it failed is for it to remove; that it cannot is its own affair."""
        try:
            self._ask({**event, "RequestType": "Delete", "PhysicalResourceId": physical_id}, seconds)
        except _FailedError:
            return

    def _is_rolled_back(self, stack_name: str) -> bool:
        stack = self._stacks.get(stack_name) or {}
        return bool(stack.get("_parent_stack_name")) or not stack.get("DisableRollback")


class _FailedError(Exception):
    """The function has failed, or has not answered; the message is what the stack's event says."""

    def __init__(self, text: str, physical_id: str = "") -> None:
        super().__init__(text)
        self.physical_id = physical_id


def _timeout(properties: Properties) -> int:
    try:
        return min(max(int(properties.get("ServiceTimeout", _TIMEOUT_SECONDS)), 1), _TIMEOUT_SECONDS)
    except (TypeError, ValueError):
        return _TIMEOUT_SECONDS


def _made(answer: Properties, event: Properties, physical_id: str | None) -> Made:
    """Return what an answer says. Raises _FailedError."""
    identifier = answer.get("PhysicalResourceId") or physical_id
    if len(json.dumps(answer)) > _RESPONSE_BYTES_MAX:
        raise _FailedError("Response object is too long.", str(identifier or ""))
    if answer.get("Status") != "SUCCESS":
        reason = answer.get("Reason") or ""
        text = f"Received response status [FAILED] from custom resource. Message returned: {reason}"
        raise _FailedError(f"{text} (RequestId: {event['RequestId']})", str(identifier or ""))
    if not identifier:
        raise _FailedError("Invalid PhysicalResourceId")
    data = answer.get("Data")
    return str(identifier), data if isinstance(data, dict) else {}


def _generated(stack_name: str, logical_id: str) -> str:
    return f"{stack_name}-{logical_id}-{uuid.uuid4().hex[:13].upper()}"
