"""What a revision says: the AppSpec of a Lambda deployment, as text in the request or as an object of S3.

Source: CodeDeploy user guide, "AppSpec file structure for AWS Lambda deployments".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from lambent.triggers.deployments.steps import AFTER, BEFORE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.wire.client import OutwardClient, Principal

_FUNCTION = "AWS::Lambda::Function"
_MEMBERS = ("Name", "Alias", "CurrentVersion", "TargetVersion")
_BYTES_MAX = 262_144
_SECTIONS_MAX = 16


class RevisionError(ValueError):
    """A revision is no AppSpec of a Lambda deployment; the text says why."""


class AppSpec(NamedTuple):
    """Which alias of which function goes from which version to which, and what is called before and after."""

    function: str
    alias: str
    current: str
    target: str
    hooks: dict[str, str]


class Revisions:
    """Scope: process; keeps nothing."""

    def __init__(self, client: OutwardClient) -> None:
        self._client = client

    async def read(self, revision: Mapping[str, Any], principal: Principal) -> AppSpec:
        """Return what a revision says.

        Raises:
            RevisionError: it is no AppSpec for Lambda.
            CallError, NeighbourError: S3 does not give it.
        """
        location = revision.get("s3Location")
        if location is None:
            content = (revision.get("appSpecContent") or revision.get("string") or {}).get("content", "")
            return parse(content)
        response = await self._client.get_object(
            location.get("bucket", ""), location.get("key", ""), location.get("version"), principal
        )
        return parse((await response.read(_BYTES_MAX)).decode("utf-8", "replace"))


def parse(text: str) -> AppSpec:
    """Return what an AppSpec in JSON or YAML says. Raises RevisionError."""
    document = _document(text)
    resources = _sections(document, "resources")
    hooks = _sections(document, "hooks")
    named = [value for section in resources for value in section.values() if isinstance(value, dict)]
    found = [value for value in named if _member(value, "Type") == _FUNCTION]
    if len(found) != 1:
        raise RevisionError(f"The AppSpec file must contain exactly one resource of the type {_FUNCTION}.")
    properties = _member(found[0], "Properties")
    if not isinstance(properties, dict):
        raise RevisionError("The resource of the AppSpec file has no Properties.")
    values = {name: str(_member(properties, name) or "") for name in _MEMBERS}
    missing = [name for name, value in values.items() if not value]
    if missing:
        raise RevisionError(f"The AppSpec file does not contain the property {', '.join(missing)}.")
    called: dict[str, str] = {}
    for section in hooks:
        for event, function in section.items():
            if event not in (BEFORE, AFTER):
                raise RevisionError(f"The AppSpec file contains the lifecycle event {event}, which Lambda has not.")
            called[event] = str(function)
    return AppSpec(values["Name"], values["Alias"], values["CurrentVersion"], values["TargetVersion"], called)


def written(spec: AppSpec) -> str:
    """Return the AppSpec as text (JSON)."""
    names = dict(zip(_MEMBERS, (spec.function, spec.alias, spec.current, spec.target), strict=True))
    document: dict[str, Any] = {
        "version": "0.0",
        "Resources": [{spec.function: {"Type": _FUNCTION, "Properties": names}}],
    }
    if spec.hooks:
        document["Hooks"] = [{event: function} for event, function in spec.hooks.items()]
    return json.dumps(document)


def _document(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = _yaml(text)
    if not isinstance(found, dict):
        raise RevisionError("The AppSpec file is neither JSON nor YAML.")
    if str(_member(found, "version")) not in ("0.0", "0"):
        raise RevisionError("The AppSpec file must have the version 0.0.")
    return found


def _yaml(text: str) -> object:
    import yaml

    try:
        # Aliases would let a few lines become gigabytes, and no AppSpec needs them.
        for token in yaml.scan(text):
            if isinstance(token, yaml.AliasToken):
                raise RevisionError("The AppSpec file must not contain aliases of YAML.")
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, RevisionError):
            raise
        raise RevisionError("The AppSpec file is neither JSON nor YAML.") from error


def _member(document: Mapping[Any, Any], name: str) -> Any:  # noqa: ANN401
    """Return a member whose name may begin with a small letter too."""
    return document.get(name, document.get(name[:1].lower() + name[1:], document.get(name[:1].upper() + name[1:])))


def _sections(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = _member(document, name)
    if found is None:
        return []
    sections = found if isinstance(found, list) else [found]
    if len(sections) > _SECTIONS_MAX or not all(isinstance(one, dict) for one in sections):
        raise RevisionError(f"The section {name} of the AppSpec file has the wrong form.")
    return sections
