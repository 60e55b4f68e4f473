"""Small things that MiniStack's CloudFormation does otherwise than AWS's: how templates are read, what is described."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lambent.neighbours.program.stack_types.templates.conditions import evaluator

if TYPE_CHECKING:
    from collections.abc import Callable

_NOT_OF_CHANGE_SETS = re.compile(r"<(Description|StatusReason|Tags)></\1>")
_NOT_OF_STACKS = re.compile(r"<(Description|StackStatusReason|Outputs)></\1>")


def repair(package: Any, modules: dict[str, Any]) -> None:
    """Do them as AWS does from now on. `package` is MiniStack's CloudFormation, `modules` its parts by name."""
    engine = modules["engine"]
    parse, conditions = _parser(engine._parse_template, engine), evaluator(engine._resolve_refs)
    for module in modules.values():
        if "_parse_template" in vars(module):
            vars(module)["_parse_template"] = parse
        if "_evaluate_conditions" in vars(module):
            vars(module)["_evaluate_conditions"] = conditions
    actions = modules["handlers"]._ACTION_HANDLERS
    actions["CreateChangeSet"] = _after_executed(actions["CreateChangeSet"], package._change_sets, modules["helpers"])
    actions["DescribeChangeSet"] = _without_nothing(actions["DescribeChangeSet"], _NOT_OF_CHANGE_SETS)
    described = _without_nothing(actions["DescribeStacks"], _NOT_OF_STACKS)
    actions["DescribeStacks"] = _named_parameters(described, package._stacks)


def _parser(parse: Callable[[str], Any], engine: Any) -> Callable[[str], Any]:
    """Return what reads a template: JSON with a comma too many is YAML. Source: observed texts of CreateStack."""
    yaml = engine.yaml

    def parsed(text: str) -> Any:
        try:
            found = parse(text)
        except json.JSONDecodeError as error:
            try:
                found = yaml.load(text, Loader=engine.CfnLoader)
            except yaml.YAMLError:
                raise ValueError(f"JSON not well-formed. (line {error.lineno}, column {error.colno})") from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
            raise ValueError(f"YAML not well-formed.{where}") from None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            # MiniStack says what it is about: "Template format error: …".
            raise ValueError("unsupported structure.")
        return found

    return parsed


def _without_nothing(describe: Callable[[Any], Any], nothing: re.Pattern[str]) -> Callable[[Any], Any]:
    """Return what describes a stack or a change set without what it does not have.

    Source: recorded (TestChangeSetFnTransform).
    """

    def described(params: Any) -> Any:
        status, headers, body = describe(params)
        text = body.decode() if isinstance(body, bytes) else body
        text = nothing.sub("", text)
        return status, headers, text.encode() if isinstance(body, bytes) else text

    return described


def _after_executed(create: Callable[[Any], Any], change_sets: Any, helpers: Any) -> Callable[[Any], Any]:
    """Return what creates a change set; the name of one that was executed is free again. Source: observed."""

    def created(params: Any) -> Any:
        name, stack = helpers._p(params, "ChangeSetName"), helpers._p(params, "StackName")
        for identifier, one in list(change_sets.items()):
            is_same = one["ChangeSetName"] == name and stack in (one["StackName"], one["StackId"])
            if is_same and one["ExecutionStatus"] == "EXECUTE_COMPLETE":
                change_sets.pop(identifier, None)
        return create(params)

    return created


def _named_parameters(describe: Callable[[Any], Any], stacks: Any) -> Callable[[Any], Any]:
    """Return what describes stacks; a parameter that stands in Parameter Store is described by its name there."""

    def described(params: Any) -> Any:
        for stack in list(stacks.values()):
            values = stack.get("_resolved_params") or {}
            for one in stack.get("Parameters") or ():
                named = values.get(one.get("ParameterKey"))
                if isinstance(named, dict) and named.get("SsmName"):
                    one["ParameterValue"] = named["SsmName"]
        return describe(params)

    return described
