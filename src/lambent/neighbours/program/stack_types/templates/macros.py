"""Macros: functions of ours that rewrite templates, whole or in part, before anything is made of them.

Source: CloudFormation user guide, "Perform custom processing on CloudFormation templates with template macros".
"""

from __future__ import annotations

import json
import uuid
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from lambent.neighbours.program.stack_types.operations import ResourceFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.neighbours.program.bridge import Bridge

    Node = Any
    Answer = tuple[int, dict[str, str], bytes]

TYPE = "AWS::CloudFormation::Macro"
_ACTIONS = frozenset({"CreateStack", "UpdateStack", "CreateChangeSet"})
_CALL = "Fn::Transform"
_WHOLE = "Transform"
_NOT_REWRITTEN = frozenset({"AWSTemplateFormatVersion", "Parameters", _WHOLE})


class Expansion(NamedTuple):
    """What became of a template; or why nothing did."""

    template: dict[str, Any]
    problem: str = ""


class Macros:
    """Rewrites the templates of requests. Scope: process; which macros there are, the stacks say that made them.

    `package` is MiniStack's CloudFormation, `modules` its parts by name, `run` runs a function beside the loop.
    """

    def __init__(self, bridge: Bridge, package: Any, modules: dict[str, Any], run: Callable[..., Any]) -> None:
        self._bridge = bridge
        self._package = package
        self._engine = modules["engine"]
        self._helpers = modules["helpers"]
        self._responses = modules["responses"]
        self._modules = modules
        self._run = run
        self._answer: Callable[..., Any] = package.handle_request
        self._transform: Callable[..., dict[str, Any]] = self._engine._apply_transforms
        self._expansion: ContextVar[Expansion | None] = ContextVar("expansion", default=None)

    def take_part(self) -> None:
        """Stand before MiniStack's operations from now on."""
        vars(self._package)["handle_request"] = self.handle_request
        for name in ("engine", "handlers", "changesets"):
            vars(self._modules[name])["_apply_transforms"] = self.apply_transforms

    def row(self) -> dict[str, Any]:
        """Return the type's row of MiniStack's table; a macro is its record in the stack."""
        return {
            "create": lambda logical_id, given, _stack: self._made(logical_id, given),
            "update": lambda physical_id, _old, _new, _stack: (physical_id, {}),
            "delete": lambda _physical_id, _given: None,
        }

    async def handle_request(self, method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Answer:
        """Answer a request; the functions of macros run beside the loop, which they may need themselves."""
        params = {**dict(query), **parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)}
        template = self._template(params) if (params.get("Action") or [""])[0] in _ACTIONS else None
        if template is not None:
            expansion = await self._run(self._expanded, template, params)
            self._expansion.set(expansion)
        answer: Answer = await self._answer(method, path, headers, body, query)
        return answer

    def apply_transforms(self, template: dict[str, Any], *arguments: Any) -> dict[str, Any]:
        """Return a template after its macros and AWS's own transforms."""
        expansion = self._expansion.get()
        if expansion is not None and expansion.problem:
            failed: dict[str, Any] = self._engine._TransformFailed(template, expansion.problem)
            return failed
        return self._transform(expansion.template if expansion is not None else template, *arguments)

    def _made(self, logical_id: str, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        for name in ("FunctionName", "Name"):
            if not given.get(name):
                text = f"Properties validation failed for resource {logical_id} with message:\n"
                raise ResourceFailedError(f"{text}#: required key [{name}] not found")
        return str(given["Name"]), {}

    def _template(self, params: dict[str, Any]) -> dict[str, Any] | None:
        """Return the template of a request that calls macros; None of any other."""
        text, problem = self._helpers._resolve_template(params)
        if problem is not None or not text:
            return None
        try:
            template = self._engine._parse_template(text)
        except (ValueError, self._engine.yaml.YAMLError):
            return None  # What is wrong with it MiniStack says.
        return template if isinstance(template, dict) and any(True for _ in _called(template)) else None

    def _expanded(self, template: dict[str, Any], params: dict[str, Any]) -> Expansion:
        given = self._helpers._extract_members(params, "Parameters")
        previous = (self._package._stacks.get((params.get("StackName") or [""])[0]) or {}).get("_resolved_params", {})
        values = self._engine._transform_parameters(template, given, previous)
        try:
            return Expansion(self._rewritten(template, _typed(template, values)))
        except ResourceFailedError as error:
            return Expansion(template, str(error))

    def _rewritten(self, template: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        """Rewrite snippets, the innermost first, then the whole, by its macros in their order."""
        found = {
            name: section if name in _NOT_REWRITTEN else self._rewritten_node(section, values)
            for name, section in template.items()
        }
        kept = []
        for call in _listed(found.pop(_WHOLE, None)):
            name, given = _name_and_parameters(call)
            if name.startswith("AWS::"):
                kept.append(call)
                continue
            found = self._call(name, found, given, values)
            if not isinstance(found, dict):
                raise ResourceFailedError("Template format error: unsupported structure.")
        return {**found, _WHOLE: kept[0] if len(kept) == 1 else kept} if kept else found

    def _rewritten_node(self, node: Node, values: dict[str, Any]) -> Node:
        if isinstance(node, list):
            return [self._rewritten_node(one, values) for one in node]
        if not isinstance(node, dict):
            return node
        calls = [one for one in _listed(node.get(_CALL)) if not _name_and_parameters(one)[0].startswith("AWS::")]
        if not calls:
            return {name: self._rewritten_node(one, values) for name, one in node.items()}
        found: Node = {name: self._rewritten_node(one, values) for name, one in node.items() if name != _CALL}
        for call in calls:
            name, given = _name_and_parameters(call)
            found = self._call(name, found, given, values)
        return found

    def _call(self, name: str, fragment: Node, given: dict[str, Any], values: dict[str, Any]) -> Node:
        """Return what a macro makes of a fragment. Raises ResourceFailedError."""
        account, region = self._responses.get_account_id(), self._responses.get_region()
        identifier = f"{account}::{name}"
        function = self._function_of(name, account, region)
        if function is None:
            raise ResourceFailedError(f"No transform named {identifier} found.")
        source = self._bridge.caller("cloudformation")._replace(account=account, has_role=True, is_event=False)
        asked = {
            "region": region, "accountId": account, "fragment": fragment, "transformId": identifier,
            "params": {key: _resolved(value, values) for key, value in given.items()}, "requestId": str(uuid.uuid4()),
            "templateParameterValues": values,
        }  # fmt: skip
        code, is_failed, payload = self._bridge.exchange(function, source, asked)
        if code:
            raise ResourceFailedError(f"Transform {identifier} failed with: {payload.decode('utf-8', 'replace')}")
        try:
            said = json.loads(payload)
        except ValueError:
            said = None
        if is_failed or not isinstance(said, dict) or "status" not in said:
            raise ResourceFailedError(f"Received malformed response from transform {identifier}.")
        if str(said["status"]).lower() != "success":
            text = said.get("errorMessage")
            why = f"failed with: {text}." if text else "failed without an error message."
            raise ResourceFailedError(f"Transform {identifier} {why}")
        return said.get("fragment")

    def _function_of(self, name: str, account: str, region: str) -> str | None:
        for stack in list(self._package._stacks.values()):
            for made in (stack.get("_resources") or {}).values():
                if made.get("ResourceType") == TYPE and made.get("PhysicalResourceId") == name:
                    function = str(made["Properties"].get("FunctionName"))
                    prefix = "" if function.startswith("arn:") else f"arn:aws:lambda:{region}:{account}:function:"
                    return f"{prefix}{function}"
        return None


def _called(template: dict[str, Any]) -> Any:
    """Yield the names of macros that a template calls."""
    for call in _listed(template.get(_WHOLE)):
        yield from (name for name in [_name_and_parameters(call)[0]] if not name.startswith("AWS::"))
    nodes = [section for name, section in template.items() if name not in _NOT_REWRITTEN]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            for call in _listed(node.get(_CALL)):
                yield from (name for name in [_name_and_parameters(call)[0]] if not name.startswith("AWS::"))
            nodes.extend(node.values())
        elif isinstance(node, list):
            nodes.extend(node)


def _listed(value: Node) -> list[Node]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _name_and_parameters(call: Node) -> tuple[str, dict[str, Any]]:
    if isinstance(call, dict):
        return str(call.get("Name", "")), call.get("Parameters") or {}
    return str(call), {}


def _resolved(value: Node, values: dict[str, Any]) -> Node:
    """Return a macro's parameter; a Ref to one of the template is its value."""
    if isinstance(value, dict) and len(value) == 1 and value.get("Ref") in values:
        return values[value["Ref"]]
    return value


def _typed(template: dict[str, Any], values: dict[str, str]) -> dict[str, Any]:
    defined = template.get("Parameters") or {}
    kinds = {name: str(one.get("Type", "")) for name, one in defined.items() if isinstance(one, dict)}
    return {
        name: [one.strip() for one in value.split(",")] if "List" in kinds.get(name, "") else value
        for name, value in values.items()
    }
