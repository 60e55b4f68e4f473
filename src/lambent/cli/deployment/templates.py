"""Templates in YAML or JSON as CloudFormation reads them, with a sentence for each that cannot be read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from lambent.cli.failure import CommandError

Template = dict[str, Any]
NAMES = ("template.yaml", "template.yml", "template.json")
SERVERLESS = "AWS::Serverless-2016-10-31"
# Functions whose short form has another name than what stands after "Fn::".
_PLAIN = frozenset({"Ref", "Condition"})


def find_template(given: str | None) -> Path:
    """Return the template's file: the one that is named, or the one in the folder that is. Raises CommandError."""
    place = Path(given or ".")
    if place.is_dir():
        for name in NAMES:
            if (place / name).is_file():
                return place / name
        where = "this folder" if given is None else f"the folder {given}"
        raise CommandError(f"there is no template in {where}: none of {', '.join(NAMES)}.")
    if not place.is_file():
        raise CommandError(f"there is no template {given}.")
    return place


def read_template(path: Path) -> Template:
    """Return a template, its functions in their long form. Raises CommandError, with the line where that is known."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}.") from error
    found = _from_json(text, path) if text.lstrip().startswith("{") else _from_yaml(text, path)
    if not isinstance(found, dict):
        raise CommandError(f"{path} is no template: it holds {_kind(found)} where an object with Resources is wanted.")
    resources = found.get("Resources")
    if not isinstance(resources, dict) or not resources:
        raise CommandError(f"{path} has no Resources: a template needs at least one.")
    for name, resource in resources.items():
        is_loop = str(name).startswith("Fn::")
        if not is_loop and (not isinstance(resource, dict) or not isinstance(resource.get("Type"), str)):
            raise CommandError(f"{path}: the resource {name} has no Type.")
    return found


def declares(template: Template, transform: str) -> bool:
    """Whether a template asks for a transform."""
    declared = template.get("Transform")
    entries = declared if isinstance(declared, list) else [declared]
    return any(one == transform or (isinstance(one, dict) and one.get("Name") == transform) for one in entries)


def _from_json(text: str, path: Path) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise CommandError(f"{path}, line {error.lineno}: no JSON: {error.msg}.") from error


def _from_yaml(text: str, path: Path) -> object:
    import yaml

    try:
        return yaml.load(text, Loader=_loader())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise CommandError(f"{path}{line}: no YAML: {error.problem or error}.") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise CommandError(f"{path}: no YAML: {error}.") from error


def _loader() -> Any:
    """Return a loader of CloudFormation's YAML. Made when wanted: commands without a template do not load YAML."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """YAML with CloudFormation's tags; dates stay text, and no key stands twice."""

    def tagged(loader: Any, suffix: str, node: Any) -> dict[str, object]:
        value: object
        if isinstance(node, yaml.ScalarNode):
            value = loader.construct_scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            value = loader.construct_sequence(node, deep=True)
        else:
            value = loader.construct_mapping(node, deep=True)
        if suffix == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {suffix if suffix in _PLAIN else f"Fn::{suffix}": value}

    def mapping(loader: Any, node: Any) -> Any:
        seen = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} stands twice", key.start_mark)
            if isinstance(key.value, str):
                seen.add(key.value)
        return yaml.SafeLoader.construct_yaml_map(loader, node)

    Loader.add_multi_constructor("!", tagged)
    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))
    return Loader


def _kind(value: object) -> str:
    return {list: "a list", str: "text", type(None): "nothing"}.get(type(value), "a value")


def stack_name_of(path: Path) -> str:
    """Return a stack's name after the folder of its template. Raises CommandError when that gives none."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", path.resolve().parent.name).strip("-")[:128]
    if not name:
        raise CommandError("--stack-name is wanted: the template's folder has no name that a stack could have.")
    return name if name[0].isalpha() else f"app-{name}"
