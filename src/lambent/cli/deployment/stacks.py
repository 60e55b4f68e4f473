"""A stack as `lambent deploy` drives it: change set, what it changes, its execution with events, outputs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from lambent.cli.failure import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_POLL_SECONDS = 0.2
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
_STACK = "AWS::CloudFormation::Stack"
_DONE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
_UNCHANGED = ("didn't contain changes", "No updates are to be performed")
_CANCELLED = "cancelled"


class Change(Struct, frozen=True):
    """What a change set does with one resource; `replacement` is True, False, Conditional or empty, as AWS says it."""

    action: str
    name: str
    kind: str
    replacement: str = ""


class Request(Struct, frozen=True):
    """What a stack shall be: the address of its template, its parameters and tags."""

    template_url: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]


class Progress(Protocol):
    """Who is told of events."""

    def show(self, event: dict[str, Any], done: int, total: int) -> None:
        """Say what happened to a resource, and how many of all are done."""


class DeployedStack:
    """One stack by its name; `client` is of CloudFormation, `mark` a text that makes the change set's name its own."""

    def __init__(self, client: Any, name: str, mark: str) -> None:
        self._client = client
        self.name = name
        self._change_set = f"lambent-{mark}"
        self._is_new = True
        self._pause = threading.Event()

    def prepare(self) -> str:
        """Return its status, empty when there is none. Removes what a creation that was rolled back has left.

        Raises CommandError when something is under way, or left that cannot be changed.
        """
        status = self._status()
        self._is_new = status in ("", "REVIEW_IN_PROGRESS")
        if status == "ROLLBACK_COMPLETE":
            self._client.delete_stack(StackName=self.name)
            self._wait_gone()
            self._is_new = True
            return ""
        if status.endswith("_IN_PROGRESS") and not self._is_new:
            raise CommandError(f"the stack {self.name} is being changed ({status}): try again when that has ended.")
        if status.endswith("_FAILED"):
            raise CommandError(f"the stack {self.name} is {status}: delete it, or continue its rollback, first.")
        return status

    def plan(self, request: Request, known: set[str]) -> list[Change]:
        """Make a change set and return what it changes; nothing when all is as the template says.

        `known`: the template's parameters; those without a value keep the one they have. Raises CommandError.
        """
        kept = set() if self._is_new else self._parameters()
        parameters: list[dict[str, Any]]
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in request.parameters.items()]
        parameters += [
            {"ParameterKey": key, "UsePreviousValue": True} for key in sorted((kept & known) - set(request.parameters))
        ]
        tags = [{"Key": key, "Value": value} for key, value in request.tags.items()]
        self._client.create_change_set(
            StackName=self.name, ChangeSetName=self._change_set, ChangeSetType="CREATE" if self._is_new else "UPDATE",
            TemplateURL=request.template_url, Parameters=parameters, Capabilities=_CAPABILITIES,
            **({"Tags": tags} if tags else {}),
        )  # fmt: skip
        found = self._described()
        while found["Status"] in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
            self._pause.wait(_POLL_SECONDS)
            found = self._described()
        if found["Status"] == "FAILED":
            reason = found.get("StatusReason", "")
            self.forget()
            if any(text in reason for text in _UNCHANGED):
                return []
            raise CommandError(f"the template is refused: {reason}")
        return [_change(one["ResourceChange"]) for one in self._changes(found)]

    def forget(self) -> None:
        """Remove the change set, and the stack that was made for it alone."""
        self._client.delete_change_set(StackName=self.name, ChangeSetName=self._change_set)
        if self._is_new and self._status() == "REVIEW_IN_PROGRESS":
            self._client.delete_stack(StackName=self.name)

    def execute(self, total: int, progress: Progress) -> None:
        """Execute the change set and tell of every event. Raises CommandError with the first failure's reason."""
        before = self._seen()
        self._client.execute_change_set(StackName=self.name, ChangeSetName=self._change_set)
        done: set[str] = set()
        failures: list[str] = []
        while True:
            # Read before the events: those of a status that has ended are all there.
            status = self._status()
            for event in self._events(before):
                if event["ResourceType"] == _STACK and event["LogicalResourceId"] == self.name:
                    continue
                state = event["ResourceStatus"]
                reason = event.get("ResourceStatusReason", "")
                if state.endswith("_FAILED") and _CANCELLED not in reason:
                    failures.append(f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}")
                if state.endswith("_COMPLETE"):
                    done.add(event["LogicalResourceId"])
                progress.show(event, min(len(done), total), total)
            if status not in ("REVIEW_IN_PROGRESS", "") and not status.endswith("_IN_PROGRESS"):
                break
            self._pause.wait(_POLL_SECONDS)
        if status not in _DONE:
            why = failures[0] if failures else self._reason()
            raise CommandError(f"the stack {self.name} is {status}: {why}")

    def outputs(self) -> dict[str, str]:
        """Return its outputs by their names."""
        [stack] = self._client.describe_stacks(StackName=self.name)["Stacks"]
        return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", ())}

    def _status(self) -> str:
        from botocore.exceptions import ClientError

        try:
            [stack] = self._client.describe_stacks(StackName=self.name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return ""
            raise
        return str(stack["StackStatus"])

    def _parameters(self) -> set[str]:
        [stack] = self._client.describe_stacks(StackName=self.name)["Stacks"]
        return {one["ParameterKey"] for one in stack.get("Parameters", ())}

    def _reason(self) -> str:
        [stack] = self._client.describe_stacks(StackName=self.name)["Stacks"]
        return str(stack.get("StackStatusReason") or "its events say no reason")

    def _described(self) -> dict[str, Any]:
        found: dict[str, Any] = self._client.describe_change_set(StackName=self.name, ChangeSetName=self._change_set)
        return found

    def _changes(self, first: dict[str, Any]) -> Iterator[dict[str, Any]]:
        page = first
        while True:
            yield from page.get("Changes", ())
            if not page.get("NextToken"):
                return
            page = self._client.describe_change_set(
                StackName=self.name, ChangeSetName=self._change_set, NextToken=page["NextToken"]
            )

    def _wait_gone(self) -> None:
        while (status := self._status()) not in ("", "DELETE_COMPLETE"):
            if status == "DELETE_FAILED":
                raise CommandError(f"what is left of the stack {self.name} cannot be deleted: {self._reason()}")
            self._pause.wait(_POLL_SECONDS)

    def _seen(self) -> set[str]:
        return {one["EventId"] for one in self._pages()}

    def _events(self, seen: set[str]) -> list[dict[str, Any]]:
        """Return events that were not returned before, oldest first, and note them."""
        fresh = []
        for event in self._pages():
            if event["EventId"] in seen:
                break
            fresh.append(event)
        seen.update(event["EventId"] for event in fresh)
        return fresh[::-1]

    def _pages(self) -> Iterator[dict[str, Any]]:
        for page in self._client.get_paginator("describe_stack_events").paginate(StackName=self.name):
            yield from page["StackEvents"]


def _change(given: dict[str, Any]) -> Change:
    return Change(
        given["Action"], given["LogicalResourceId"], given["ResourceType"], given.get("Replacement", "") or ""
    )
