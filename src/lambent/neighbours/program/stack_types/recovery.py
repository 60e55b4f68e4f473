"""Stacks whose operation a death of this process has cut off: they are rolled back, or removed to the end.

What is made is written to a journal before and after it is made, one line each: a kill loses no line that was written.
A line of a stack whose operation is over counts no more. When this process knows its stacks again, those that are under
way by their status are ended as by an operation that has failed.
"""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambent.neighbours.program.stack_types import properties as p

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.neighbours.program.stack_types.operations import Operations

    Record = dict[str, Any]

_log = logging.getLogger("ministack")

_REASON = "The operation was cut off by a restart of the embedded services. Rollback requested."
_PREVIOUS = "_lambent_previous"
_BEGUN, _MADE, _REMOVED = "begun", "made", "removed"


class Journal:
    """A file of lines, each of one step of a stack. Scope: process. A crash loses nothing that was written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, step: str, stack_id: str, logical_id: str, **others: Any) -> None:
        """Write that a step is about to be done, or is done."""
        line = json.dumps({"step": step, "stack": stack_id, "resource": logical_id, **others}, default=str)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def steps(self) -> dict[str, list[Record]]:
        """Return the steps of each stack, in their order."""
        found: dict[str, list[Record]] = {}
        try:
            text = self._path.read_text("utf-8")
        except FileNotFoundError:
            return found
        for line in text.splitlines():
            try:
                step = json.loads(line)
            except ValueError:
                continue  # The last line, of which a kill has left a part.
            found.setdefault(step["stack"], []).append(step)
        return found

    def forget(self, *, is_empty: bool) -> None:
        """Begin anew when no stack is under way, now or when it has grown."""
        if is_empty and self._path.exists() and self._path.stat().st_size > 0:
            self._path.write_text("", "utf-8")


class Recovery:
    """Stands around MiniStack's steps. Scope: process. `package` is its CloudFormation; `modules` its parts by name."""

    def __init__(self, package: Any, modules: dict[str, Any], operations: Operations, keep: Callable[[], None]) -> None:
        self._package = package
        self._stacks_module = modules["stacks"]
        self._provisioners = modules["provisioners"]
        self._responses = modules["responses"]
        self._modules = modules
        self._operations = operations
        self._keep = keep
        self._journal = Journal(Path(os.environ.get("STATE_DIR", "/tmp")) / "lambent-stacks.jsonl")

    def take_part(self) -> None:
        """Note every step from now on, and end what an earlier life has begun."""
        provision, delete = self._provisioners._provision_resource, self._provisioners._delete_resource
        deploy = self._stacks_module._deploy_stack_async
        replaced = {
            "_provision_resource": self._noted_provision(provision),
            "_delete_resource": self._noted_delete(delete),
            "_deploy_stack_async": self._noted_deploy(deploy),
        }
        for module in self._modules.values():
            for name, function in replaced.items():
                if name in vars(module):
                    vars(module)[name] = function
        self._end_cut_off()

    def _noted_provision(self, provision: Callable[..., Any]) -> Callable[..., Any]:
        def provisioned(resource_type: str, logical_id: str, props: Record, stack_name: str) -> Any:
            stack_id = self._stack_id(stack_name)
            given = {"type": resource_type, "properties": props}
            self._journal.note(_BEGUN, stack_id, logical_id, **given)
            made = provision(resource_type, logical_id, props, stack_name)
            self._journal.note(_MADE, stack_id, logical_id, id=made[0], **given)
            self._keep()
            return made

        return provisioned

    def _noted_delete(self, delete: Callable[..., Any]) -> Callable[..., Any]:
        def deleted(
            resource_type: str, physical_id: str, props: Record, stack_name: str | None = None, logical_id: str = ""
        ) -> Any:
            answer = delete(resource_type, physical_id, props, stack_name, logical_id)
            if stack_name:
                self._journal.note(_REMOVED, self._stack_id(stack_name), logical_id, id=physical_id)
            return answer

        return deleted

    def _noted_deploy(self, deploy: Callable[..., Any]) -> Callable[..., Any]:
        async def deployed(stack_name: str, *arguments: Any, **named: Any) -> None:
            stack = self._package._stacks[stack_name]
            if named.get("is_update") and named.get("previous_stack") is not None:
                stack[_PREVIOUS] = copy.deepcopy(named["previous_stack"])
            self._keep()
            await deploy(stack_name, *arguments, **named)
            stack.pop(_PREVIOUS, None)
            self._keep()
            self._journal.forget(is_empty=not self._under_way())

        return deployed

    def _stack_id(self, stack_name: str) -> str:
        return str((self._package._stacks.get(stack_name) or {}).get("StackId", stack_name))

    def _under_way(self) -> list[tuple[tuple[str, str, str], Record]]:
        stacks: dict[tuple[str, str, str], Record] = self._package._stacks._data
        return [(key, one) for key, one in stacks.items() if _is_under_way(str(one.get("StackStatus", "")))]

    # --- after a death

    def _end_cut_off(self) -> None:
        steps = self._journal.steps()
        cut_off = [one for one in self._under_way() if not one[1].get("_parent_stack_name")]
        for key, stack in cut_off:
            self._stacks_module._create_stack_task_in_region(self._end(key, stack, steps), stack, stack["StackId"])
        if not cut_off:
            self._journal.forget(is_empty=True)

    async def _end(self, key: tuple[str, str, str], stack: Record, steps: dict[str, list[Record]]) -> None:
        account, region, name = key
        self._responses._request_account_id.set(account)
        self._responses.set_request_region(region)
        status = str(stack["StackStatus"])
        _log.warning("stack %s was cut off in %s and is ended now", name, status)
        try:
            if status.startswith("DELETE"):
                await self._stacks_module._delete_stack_async(name, stack["StackId"])
            else:
                await self._roll_back(name, stack, steps)
        except Exception:
            _log.exception("stack %s could not be ended", name)
            stack["StackStatus"] = "ROLLBACK_FAILED"
        self._keep()
        self._journal.forget(is_empty=not self._under_way())

    async def _roll_back(self, name: str, stack: Record, steps: dict[str, list[Record]]) -> None:
        previous = stack.pop(_PREVIOUS, None)
        own = steps.get(stack["StackId"], [])
        kept = (previous or {}).get("_resources", {})
        made = self._complete(stack, own, kept)
        await asyncio.to_thread(self._remove_begun, name, stack, own)
        await asyncio.to_thread(self._remove_nested, name, made)
        operation = self._stacks_module._failed_operation(
            previous is not None, previous, made, None, None, [], False, stack.get("_template") or {},
            stack.get("_resolved_params") or {}, False, stack.get("Tags") or [], (previous or {}).get("Tags") or [],
        )  # fmt: skip
        await self._stacks_module._roll_back_operation(name, stack["StackId"], stack, operation, _REASON)

    @staticmethod
    def _complete(stack: Record, steps: list[Record], kept: Record) -> list[str]:
        """Let a stack know all that was made of it; return what this operation has made, in its order."""
        resources = stack.setdefault("_resources", {})
        made: list[str] = []
        for step in steps:
            name = step["resource"]
            if step["step"] == _MADE:
                known = resources.get(name, {})
                resources[name] = {
                    "Attributes": {}, **known, "PhysicalResourceId": step["id"], "ResourceType": step["type"],
                    "LogicalResourceId": name, "ResourceStatus": "CREATE_COMPLETE", "Properties": step["properties"],
                }  # fmt: skip
            elif step["step"] == _REMOVED and resources.get(name, {}).get("PhysicalResourceId") == step["id"]:
                resources.pop(name)
        known = [step["resource"] for step in steps if step["step"] == _MADE]
        changed = [name for name, one in resources.items() if one != kept.get(name)]
        for name in (*changed, *known):
            if name in resources and name not in made:
                made.append(name)
        return made

    def _remove_begun(self, stack_name: str, stack: Record, steps: list[Record]) -> None:
        """Remove the function that was being made: its name is known, and its tags say whose it is."""
        done = {step["resource"] for step in steps if step["step"] == _MADE}
        for step in steps:
            if step["step"] != _BEGUN or step["resource"] in done or step["type"] != p.FUNCTION:
                continue
            name = step["properties"].get("FunctionName") or self._provisioners._physical_name(
                stack_name, step["resource"], max_len=64
            )
            found = self._operations.find("GetFunction", FunctionName=name)
            if found is not None and (found.get("Tags") or {}).get("aws:cloudformation:stack-id") == stack["StackId"]:
                self._operations.find("DeleteFunction", FunctionName=name)

    def _remove_nested(self, parent: str, made: list[str]) -> None:
        """Remove the nested stack that was being made."""
        resources = (self._package._stacks.get(parent) or {}).get("_resources", {})
        known = {one.get("PhysicalResourceId") for name, one in resources.items() if name in made}
        for stack in list(self._package._stacks.values()):
            is_child = stack.get("_parent_stack_name") == parent and stack["StackId"] not in known
            if is_child and stack.get("StackStatus") == "CREATE_IN_PROGRESS":
                self._provisioners._cfn_nested_stack_delete(stack["StackId"], {})


def _is_under_way(status: str) -> bool:
    return status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS"
