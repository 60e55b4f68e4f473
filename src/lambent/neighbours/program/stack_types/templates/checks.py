"""What is wrong with a template before anything of it is made: CloudFormation refuses it, MiniStack begins with it.

Source: observed texts of CreateStack and ValidateTemplate; the template reference for what may stand where.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lambent.neighbours.program.stack_types import properties as p

if TYPE_CHECKING:
    from collections.abc import Iterator

    Node = Any
    Definition = dict[str, Any]

_SUB = re.compile(r"\$\{([^!{}][^{}]*)\}")
_ATTRIBUTES = {
    p.FUNCTION: {
        "Arn", "SnapStartResponse", "SnapStartResponse.ApplyOn", "SnapStartResponse.OptimizationStatus",
    },
    p.VERSION: {"FunctionArn", "Version"},
    p.ALIAS: {"AliasArn"},
    p.PERMISSION: {"Id"},
    p.LAYER_VERSION: {"LayerVersionArn", "Arn"},
    p.LAYER_VERSION_PERMISSION: {"Id"},
    p.EVENT_SOURCE_MAPPING: {"EventSourceMappingArn", "Id"},
    p.EVENT_INVOKE_CONFIG: set[str](),
    p.URL: {"FunctionArn", "FunctionUrl"},
    p.CODE_SIGNING_CONFIG: {"CodeSigningConfigArn", "CodeSigningConfigId"},
    p.CAPACITY_PROVIDER: {"Arn", "State"},
}  # fmt: skip


def template_problem(template: Definition) -> str | None:
    """Return what CloudFormation says of a template whose references lead nowhere or in a circle, or None."""
    resources = template.get("Resources")
    if not isinstance(resources, dict) or not resources:
        return "Template format error: At least one Resources member must be defined."
    for name, defined in resources.items():
        if not isinstance(defined, dict):
            return f"Template format error: [/Resources/{name}] resource definition is malformed"
        if not defined.get("Type"):
            return f"Template format error: [/Resources/{name}] Every Resources object must contain a Type member."
    outputs = template.get("Outputs") or {}
    return (
        _attribute_problem(resources, (resources, outputs))
        or _reference_problem(template, resources, "Resources")
        or _reference_problem(template, outputs, "Outputs")
        or _circle(resources)
    )


def _attribute_problem(resources: Definition, sections: tuple[Node, ...]) -> str | None:
    for name, attribute in _attributes(sections):
        if name not in resources:
            return f"Template error: instance of Fn::GetAtt references undefined resource {name}"
        kind = resources[name].get("Type", "")
        if kind in _ATTRIBUTES and attribute not in _ATTRIBUTES[kind]:
            return f"Template error: resource {name} does not support attribute type {attribute} in Fn::GetAtt"
    return None


def _reference_problem(template: Definition, section: Node, title: str) -> str | None:
    known = {*(template.get("Parameters") or {}), *template["Resources"]}
    unknown = [name for name in _references(section) if name not in known and not name.startswith("AWS::")]
    if title == "Resources":
        for defined in section.values():
            unknown += [name for name in _listed(defined.get("DependsOn")) if name not in template["Resources"]]
    if unknown:
        found = ", ".join(dict.fromkeys(unknown))
        return f"Template format error: Unresolved resource dependencies [{found}] in the {title} block of the template"
    conditions = template.get("Conditions") or {}
    for defined in section.values():
        name = defined.get("Condition") if isinstance(defined, dict) else None
        if isinstance(name, str) and name not in conditions:
            where = f"in the {title} block of the template"
            return f"Template format error: Unresolved condition dependency {name} {where}"
    return None


def _circle(resources: Definition) -> str | None:
    """Say which resources wait for each other, directly or in turn."""
    left = {name: {one for one in _waits_for(defined) if one in resources} for name, defined in resources.items()}
    while True:
        free = {name for name, needed in left.items() if not needed & left.keys()}
        if not free:
            break
        left = {name: needed for name, needed in left.items() if name not in free}
    # What only waits for a circle is not of it.
    while True:
        needed = set().union(*left.values()) if left else set()
        outside = left.keys() - needed
        if not outside:
            break
        left = {name: one for name, one in left.items() if name not in outside}
    if not left:
        return None
    return f"Circular dependency between resources: [{', '.join(name for name in resources if name in left)}]"


def _waits_for(defined: Definition) -> Iterator[str]:
    properties = defined.get("Properties")
    yield from _references(properties)
    yield from (name for name, _ in _attributes(properties))
    yield from _listed(defined.get("DependsOn"))


def _listed(value: Node) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [one for one in value or () if isinstance(one, str)]


def _references(node: Node) -> Iterator[str]:
    """Yield names that are referred to by Ref, or by Fn::Sub without an attribute."""
    for key, value in _functions(node):
        if key == "Ref" and isinstance(value, str):
            yield value
        elif key == "Fn::Sub":
            yield from (name for name in _substituted(value) if "." not in name)


def _attributes(node: Node) -> Iterator[tuple[str, str]]:
    """Yield resources and attributes that Fn::GetAtt asks for, or Fn::Sub."""
    for key, value in _functions(node):
        if key == "Fn::GetAtt":
            parts = value.split(".", 1) if isinstance(value, str) else value
            name, attribute = [*parts, "", ""][:2] if isinstance(parts, list) else (None, None)
            # The attribute may be a Ref; the resource may not.
            if isinstance(name, str) and isinstance(attribute, str):
                yield name, attribute
        elif key == "Fn::Sub":
            for found in _substituted(value):
                name, dot, attribute = found.partition(".")
                if dot:
                    yield name, attribute


def _substituted(value: Node) -> Iterator[str]:
    text, given = (value[0], value[1]) if isinstance(value, list) and len(value) > 1 else (value, {})
    if isinstance(text, str):
        names = (name.strip() for name in _SUB.findall(text))
        yield from (name for name in names if name not in given and not name.startswith("AWS::"))


def _functions(node: Node) -> Iterator[tuple[str, Node]]:
    """Yield everything that may be a function's call, outside in."""
    if isinstance(node, dict):
        for key, value in node.items():
            if len(node) == 1 and isinstance(key, str) and (key == "Ref" or key.startswith("Fn::")):
                yield key, value
            yield from _functions(value)
    elif isinstance(node, list | tuple):
        for one in node:
            yield from _functions(one)
