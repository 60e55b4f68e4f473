"""Change sets of templates that a transform refuses: they are made, and have failed, as on AWS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Parameters = dict[str, Any]
    Answer = tuple[int, dict[str, str], bytes]

# A template in whose place the change set is made, so that all that is wrong with the request itself is refused.
_PLAIN = json.dumps({"Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}})


class FailingChangeSets:
    """Answers CreateChangeSet. Scope: process; keeps nothing.

    `create` is MiniStack's operation, `modules` its parts by their names, `change_sets` what it has of them.
    """

    def __init__(self, create: Callable[[Parameters], Answer], modules: dict[str, Any], change_sets: Any) -> None:
        self._create = create
        self._modules = modules
        self._change_sets = change_sets

    def create(self, parameters: Parameters) -> Answer:
        """Create a change set; where a transform fails, it is one of status FAILED whose reason says why."""
        body, reason = self._failure(parameters)
        if reason is None:
            return self._create(parameters)
        kept = {name: value for name, value in parameters.items() if not name.startswith(("Template", "Parameters."))}
        before = set(self._change_sets)
        answer = self._create({**kept, "TemplateBody": [_PLAIN]})
        for name in set(self._change_sets) - before:
            self._change_sets[name].update(
                Status="FAILED", ExecutionStatus="UNAVAILABLE", StatusReason=reason, Changes=[], Parameters=[],
                _template={}, _template_body=body, _resolved_params={},
            )  # fmt: skip
        return answer

    def _failure(self, parameters: Parameters) -> tuple[str, str | None]:
        """Return the template's text, and why it cannot be expanded."""
        engine, helpers = self._modules["engine"], self._modules["helpers"]
        body, refused = helpers._resolve_template(parameters)
        if refused or not body:
            return "", None
        try:
            template = engine._parse_template(body)
            expanded = engine._apply_transforms(template, helpers._extract_members(parameters, "Parameters"))
        except (engine.yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
            # Whatever it is, the operation itself says it in CloudFormation's words.
            return body, None
        return body, expanded.error if isinstance(expanded, engine._TransformFailed) else None
