"""Filter patterns of CloudWatch Logs, of which MiniStack knows words alone, and subscriptions that call functions.

Source: CloudWatch Logs user guide, "Filter pattern syntax": words, JSON (`{ $.a = 1 && $.b EXISTS }`), and columns
(`[ip, ..., status = 4*]`).
"""

from __future__ import annotations

import base64
import gzip
import json
import logging
import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.neighbours.program.bridge import Bridge

    Matches = Callable[[Any], bool]
    Record = dict[str, Any]

_log = logging.getLogger("ministack")

_WORD = re.compile(r'(?P<sign>[-?]?)(?:%(?P<regex>[^%]*)%|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>\S+))')
_TOKEN = re.compile(
    r'\s*(?:(?P<mark>&&|\|\||<=|>=|!=|[()=<>,])|"(?P<text>(?:[^"\\]|\\.)*)"|%(?P<regex>[^%]*)%|(?P<word>[^\s()=<>!,&|]+))'
)
_COLUMN = re.compile(r'\[[^\]]*\]|"[^"]*"|\S+')
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\*)\]")
_ABSENT = object()
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return what says whether a line matches. Raises ValueError when it is no pattern."""
    text = pattern.strip()
    if text.startswith("{") and text.endswith("}"):
        condition = _Conditions(_tokens(text[1:-1])).whole()
        return lambda line: (document := _document(line)) is not None and condition(document)
    if text.startswith("[") and text.endswith("]"):
        return _columns(text[1:-1])
    return _words(text)


def _words(text: str) -> Callable[[str], bool]:
    required: list[Callable[[str], bool]] = []
    optional: list[Callable[[str], bool]] = []
    for found in _WORD.finditer(text):
        if found["regex"] is not None:
            holds = _finding(found["regex"])
        else:
            holds = _holding(found["bare"] if found["quoted"] is None else _unescaped(found["quoted"]))
        if found["sign"] == "-":
            required.append(_without(holds))
        else:
            (optional if found["sign"] == "?" else required).append(holds)
    # What may be there says nothing beside what must.
    return lambda line: (
        all(holds(line) for holds in required)
        and (bool(required) or not optional or any(holds(line) for holds in optional))
    )


def _finding(expression: str) -> Callable[[str], bool]:
    compiled = re.compile(expression)
    return lambda line: compiled.search(line) is not None


def _holding(word: str) -> Callable[[str], bool]:
    return lambda line: word in line


def _without(holds: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda line: not holds(line)


def _columns(text: str) -> Callable[[str], bool]:
    parts = [part.strip() for part in text.split(",")]
    gap = parts.index("...") if "..." in parts else None
    named = [part for part in parts if part != "..."]
    conditions = [_column(part) for part in named]

    def matches(line: str) -> bool:
        values = [value.strip('"[]') for value in _COLUMN.findall(line)]
        if gap is None:
            return len(values) == len(named) and all(map(_holds, conditions, values))
        tail = len(named) - gap
        if len(values) < len(named):
            return False
        chosen = values[:gap] + (values[-tail:] if tail else [])
        return all(map(_holds, conditions, chosen))

    return matches


def _holds(condition: Matches, value: str) -> bool:
    return condition(value)


def _column(part: str) -> Matches:
    tokens = _tokens(part)
    if len(tokens) < 3:
        return lambda _: True
    # The column's name stands where a selector would.
    return _Conditions(
        [("word", "$"), *[token if token != tokens[0] else ("word", "$") for token in tokens[1:]]]
    ).whole()


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None or found.lastgroup is None:
            raise ValueError(f"no filter pattern: {text[position:][:50]}")
        tokens.append((found.lastgroup, found[found.lastgroup]))
        position = found.end()
    return tokens


class _Conditions:
    """Reads conditions: terms joined by && and ||, in parentheses or not."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def whole(self) -> Matches:
        condition = self._any()
        if self._at != len(self._tokens):
            raise ValueError("something follows the pattern's end")
        return condition

    def _any(self) -> Matches:
        parts = [self._all()]
        while self._takes("||"):
            parts.append(self._all())
        return lambda value: any(part(value) for part in parts)

    def _all(self) -> Matches:
        parts = [self._one()]
        while self._takes("&&"):
            parts.append(self._one())
        return lambda value: all(part(value) for part in parts)

    def _one(self) -> Matches:
        if self._takes("("):
            inner = self._any()
            if not self._takes(")"):
                raise ValueError("a parenthesis is not closed")
            return inner
        kind, selector = self._next()
        if kind != "word" or not selector.startswith("$"):
            raise ValueError(f"no selector: {selector}")
        _, operator = self._next()
        if operator.upper() == "NOT":
            self._next()
            return lambda value: _select(value, selector) is _ABSENT
        if operator.upper() == "EXISTS":
            return lambda value: _select(value, selector) is not _ABSENT
        if operator.upper() == "IS":
            wanted = {"TRUE": True, "FALSE": False, "NULL": None}[self._next()[1].upper()]
            return lambda value: _select(value, selector) is wanted
        return _comparison(selector, operator, self._next())

    def _takes(self, mark: str) -> bool:
        is_there = self._at < len(self._tokens) and self._tokens[self._at] == ("mark", mark)
        self._at += is_there
        return is_there

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise ValueError("the pattern ends too early")
        self._at += 1
        return self._tokens[self._at - 1]


def _comparison(selector: str, operator: str, wanted: tuple[str, str]) -> Matches:
    kind, text = wanted
    if operator in _COMPARISONS:
        limit, compare = float(text), _COMPARISONS[operator]

        def holds(value: Any) -> bool:
            number = _number(_select(value, selector))
            return number is not None and compare(number, limit)

        return holds
    if operator not in ("=", "!="):
        raise ValueError(f"no operator: {operator}")
    if kind == "regex":
        expression = re.compile(text)
    else:
        plain = _unescaped(text) if kind == "text" else text
        expression = re.compile(".*".join(re.escape(part) for part in plain.split("*")) + r"\Z", re.DOTALL)
    find = expression.search if kind == "regex" else expression.match
    number = _number(text) if kind == "word" else None

    def equals(value: Any) -> bool:
        found = _select(value, selector)
        if found is _ABSENT:
            return False
        if number is not None and _number(found) is not None:
            return _number(found) == number
        return isinstance(found, str) and find(found) is not None

    if operator == "=":
        return equals
    return lambda value: _select(value, selector) is not _ABSENT and not equals(value)


def _select(value: Any, selector: str) -> Any:
    for name, index in _STEP.findall(selector[1:]):
        if name:
            value = value.get(name, _ABSENT) if isinstance(value, dict) else _ABSENT
        elif isinstance(value, list) and value:
            value = value[0 if index == "*" else int(index)] if index == "*" or int(index) < len(value) else _ABSENT
        else:
            value = _ABSENT
    return value


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _document(line: str) -> Any:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict | list) else None


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def cloudwatch_logs(bridge: Bridge, module: Any) -> None:
    """Subscription filters: the log group calls."""

    def matches(pattern: str, message: str) -> bool:
        try:
            return matcher(pattern or "")(message or "")
        except (ValueError, KeyError, re.error) as error:
            _log.warning("the filter pattern %r matches nothing: %s", pattern, error)
            return False

    def fan_out(group: str, stream: str, events: list[Record]) -> None:
        found = module._log_groups.get(group)
        for one in list(((found or {}).get("subscriptionFilters") or {}).values()):
            arn = one.get("destinationArn", "")
            name = arn.partition(":function:")[2].partition(":")[0]
            # A function that is told of its own lines would never come to an end.
            if name and group != f"/aws/lambda/{name}":
                chosen = [event for event in events if matches(one.get("filterPattern", ""), event.get("message", ""))]
                if chosen:
                    _call(bridge, module, (group, stream), (one.get("filterName", ""), arn), chosen)

    describe = module._describe_subscription_filters

    def describe_as_put(data: Record) -> Any:
        status, headers, body = describe(data)
        if status == 200:
            said = json.loads(body)
            for one in said["subscriptionFilters"]:
                if not one.get("roleArn"):
                    # Recorded (test_logs_subscription_filters.json): filters that need no role have none.
                    one.pop("roleArn", None)
            return module.json_response(said)
        return status, headers, body

    vars(module)["_describe_subscription_filters"] = describe_as_put
    vars(module)["_subscription_pattern_matches"] = matches
    vars(module)["_compile_filter_pattern"] = lambda pattern: lambda message: matches(pattern, message)
    vars(module)["_fanout_to_subscription_filters"] = fan_out


def _call(bridge: Bridge, module: Any, where: tuple[str, str], who: tuple[str, str], events: list[Record]) -> None:
    (group, stream), (name, arn) = where, who
    account, region = module.get_account_id(), module.get_region()
    now_ms = int(time.time() * 1000)
    data = {
        "messageType": "DATA_MESSAGE", "owner": account, "logGroup": group, "logStream": stream,
        "subscriptionFilters": [name],
        "logEvents": [
            {
                # Source: as observed, 56 digits that grow with time.
                "id": f"{event.get('timestamp', now_ms) * 10**22 + number:056d}",
                "timestamp": event.get("timestamp", now_ms), "message": event.get("message", ""),
            }
            for number, event in enumerate(events)
        ],
    }  # fmt: skip
    packed = base64.b64encode(gzip.compress(json.dumps(data, separators=(",", ":")).encode())).decode()
    group_arn = f"arn:aws:logs:{region}:{account}:log-group:{group}:*"
    source = bridge.caller("cloudwatch_logs")._replace(arn=group_arn, account=account)
    bridge.start(arn, source, {"awslogs": {"data": packed}})


PARTICIPANTS: dict[str, Callable[[Bridge, Any], None]] = {"cloudwatch_logs": cloudwatch_logs}
