"""Conditions of a template. MiniStack's know parameters alone; AWS's also pseudo parameters, mappings, joined texts.

Source: CloudFormation user guide, "Condition functions": inside them stand Ref, Fn::FindInMap, Fn::Join, Fn::Select,
Fn::Split, Fn::Sub and the other condition functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # Resolves functions: (value, resources, parameters, conditions, mappings, stack's name, its id).
    Resolve = Callable[[Any, dict[str, Any], dict[str, Any], dict[str, bool], dict[str, Any], str, str], Any]


def evaluator(resolve: Resolve) -> Callable[[dict[str, Any], dict[str, Any]], dict[str, bool]]:
    """Return what evaluates all conditions of a template with a stack's parameters: name → value.

    It raises ValueError for a condition that is not there and for those that depend on each other.
    """

    def evaluate(template: dict[str, Any], parameters: dict[str, Any]) -> dict[str, bool]:
        return _Conditions(template, parameters, resolve).all()

    return evaluate


class _Conditions:
    def __init__(self, template: dict[str, Any], parameters: dict[str, Any], resolve: Resolve) -> None:
        self._definitions: dict[str, Any] = template.get("Conditions") or {}
        self._mappings: dict[str, Any] = template.get("Mappings") or {}
        self._parameters = parameters
        self._resolve = resolve
        self._known: dict[str, bool] = {}
        self._open: list[str] = []

    def all(self) -> dict[str, bool]:
        for name in self._definitions:
            self._named(name)
        return {name: self._known[name] for name in self._definitions}

    def _named(self, name: str) -> bool:
        if name not in self._known:
            if name not in self._definitions:
                raise ValueError(
                    f"Template format error: Unresolved condition dependency {name} in the Conditions block"
                )
            if name in self._open:
                chain = ", ".join(self._open[self._open.index(name) :])
                raise ValueError(f"Template error: Found circular condition dependency between {chain}")
            self._open.append(name)
            self._known[name] = self._is_true(self._definitions[name])
            self._open.pop()
        return self._known[name]

    def _is_true(self, expression: Any) -> bool:
        if not isinstance(expression, dict) or len(expression) != 1:
            return bool(expression)
        [(function, given)] = expression.items()
        if function == "Condition":
            return self._named(given)
        if function == "Fn::Equals":
            one, other = (self._value(each) for each in given)
            return bool(_comparable(one) == _comparable(other))
        if function in ("Fn::And", "Fn::Or"):
            # All of them: one that is not there is an error wherever it stands.
            found = [self._is_true(each) for each in given]
            return all(found) if function == "Fn::And" else any(found)
        if function == "Fn::Not":
            return not self._is_true(given[0])
        return str(self._value(expression)).lower() == "true"

    def _value(self, expression: Any) -> Any:
        for name in _conditions_of(expression):
            self._named(name)
        return self._resolve(expression, {}, self._parameters, self._known, self._mappings, "", "")


def _conditions_of(expression: Any) -> Iterator[str]:
    """Yield the conditions on which values depend."""
    if isinstance(expression, dict):
        if "Fn::If" in expression:
            yield expression["Fn::If"][0]
        for each in expression.values():
            yield from _conditions_of(each)
    elif isinstance(expression, list):
        for each in expression:
            yield from _conditions_of(each)


def _comparable(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return [_comparable(each) for each in value] if isinstance(value, list) else str(value)
