"""EventBridge: its rules call; what they hand on, how often it is tried, what is refused at the door, as AWS has it.

Source: EventBridge user guide, "Using dead-letter queues", "How EventBridge retries delivering events", "Input
transformation"; API reference, PutEvents, PutRule, PutTargets.
"""

from __future__ import annotations

import json
import re
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.neighbours.program.bridge import Bridge, Source

    Event = Any
    Record = dict[str, Any]
    Answer = tuple[int, dict[str, str], bytes]

_STEP = re.compile(r"\.([A-Za-z0-9_\-/@]+)|\[(\d+|\*)\]|\['([^']+)'\]|\.?\*")
_MISSING = object()
_PATHS_MAX = 100
# Members of RetryPolicy: name in messages, least, most, what counts without one.
_RETRIES = ("maximumRetryAttempts", 0, 185)
_AGE = ("maximumEventAgeInSeconds", 60, 86_400)
_ENTRIES_MAX = 10


class Rules:
    """What stands around MiniStack's operations. Scope: process; keeps nothing."""

    def __init__(self, bridge: Bridge, module: Any) -> None:
        self._bridge = bridge
        self._module = module
        self._invoke = module._invoke_target
        self._put_rule = module._put_rule
        self._put_targets = module._put_targets
        self._put_events = module._put_events
        self._is_near = module._target_matches_request_scope
        # When the event that is put now has happened, if its sender said so.
        self._moment: ContextVar[float | None] = ContextVar("moment", default=None)
        # X-Amzn-Trace-Id of who put it: what it sets going belongs to that trace.
        self._trace: ContextVar[str] = ContextVar("trace", default="")
        self._plain_requests = module.handle_request

    def take_part(self) -> None:
        """Stand there from now on."""
        known = vars(self._module)
        known["_dispatch_to_lambda"] = self.dispatch
        known["_invoke_target"] = self.invoke
        known["_apply_input_transformer"] = self.transform
        known["_put_rule"] = self.put_rule
        known["_put_targets"] = self.put_targets
        known["_put_events"] = self.put_events
        known["_target_matches_request_scope"] = self.is_near
        known["handle_request"] = self.handle_request
        known["_now_ts"] = lambda: self._moment.get() or time.time()

    async def handle_request(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query_params: Any
    ) -> Answer:
        """Answer a request."""
        self._trace.set(headers.get("x-amzn-trace-id", ""))
        answer: Answer = await self._plain_requests(method, path, headers, body, query_params)
        return answer

    def invoke(self, target: Record, event: Event, rule: Record, view: Any = None) -> object:
        """Invoke a target in the rule's name, with the part of the event that its path leads to."""
        view = view or self._module._pattern_event_view(event)
        path = target.get("InputPath")
        if path and not target.get("InputTransformer") and not target.get("Input"):
            found = value_at(path, view.event_with_detail())
            shown = {name: value for name, value in target.items() if name != "InputPath"}
            target = shown if found is _MISSING else {**shown, "Input": json.dumps(found)}
        with self._bridge.calling(self._source(target, rule)):
            return self._invoke(target, event, rule, view)

    def is_near(self, target: Any) -> bool:
        """Return whether a target can be reached: a function in any account, if its policy says so."""
        if target.service == "lambda":
            return bool(target.region == self._module.get_region())
        return bool(self._is_near(target))

    def dispatch(self, arn: str, payload: str) -> None:
        """Call a function; what is no JSON is a text to it."""
        try:
            event = json.loads(payload)
        except ValueError:
            event = payload
        self._bridge.start(arn, self._bridge.current("eventbridge"), event)

    def transform(self, transformer: Record, rule: Record, view: Any) -> str:
        """Return what an InputTransformer makes of an event. A path that leads nowhere is an empty text."""
        event = view.event_with_detail()
        values: Record = {}
        for name, path in (transformer.get("InputPathsMap") or {}).items():
            found = value_at(path, event)
            values[name] = "" if found is _MISSING else found
        values |= {
            "aws.events.rule-arn": (rule or {}).get("Arn", ""),
            "aws.events.rule-name": (rule or {}).get("Name", ""),
            "aws.events.event.ingestion-time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "aws.events.event": view.envelope(),
            "aws.events.event.json": event,
        }
        rendered: str = self._module._render_input_template(transformer.get("InputTemplate", ""), values)
        return rendered

    def put_rule(self, data: Record) -> Answer:
        """Answer PutRule; one that nothing could set off is refused."""
        if not data.get("EventPattern") and not data.get("ScheduleExpression"):
            return self._invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
        answer: Answer = self._put_rule(data)
        return answer

    def put_targets(self, data: Record) -> Answer:
        """Answer PutTargets; members that contradict each other or their bounds are refused."""
        for number, target in enumerate(data.get("Targets") or (), 1):
            wrong = _wrong_policy(target.get("RetryPolicy") or {}, number) or _wrong_input(target)
            if wrong:
                return self._invalid(wrong)
            queue = (target.get("DeadLetterConfig") or {}).get("Arn")
            if queue is not None and not str(queue).startswith("arn:aws:sqs:"):
                return self._invalid(f"Parameter {queue} is not valid. Reason: Dead-letter queue must be an SQS queue.")
        answer: Answer = self._put_targets(data)
        return answer

    def put_events(self, data: Record, allow_aws_source: bool = False) -> Answer:
        """Answer PutEvents, each entry by itself: one that is wrong is told of, the others go on their way."""
        entries = data.get("Entries") or []
        if not isinstance(entries, list) or not 0 < len(entries) <= _ENTRIES_MAX:
            answer: Answer = self._put_events(data, allow_aws_source)
            return answer
        told = [self._put_one(entry, allow_aws_source) for entry in entries]
        failed = sum("ErrorCode" in one for one in told)
        answered: Answer = self._module.json_response({"FailedEntryCount": failed, "Entries": told})
        return answered

    def _put_one(self, entry: Record, allow_aws_source: bool) -> Record:
        refused = {} if allow_aws_source else _refused_entry(entry)
        if refused:
            return refused
        given = entry.get("Time")
        token = self._moment.set(float(given) if isinstance(given, int | float) else None)
        try:
            _, _, body = self._put_events({"Entries": [entry]}, allow_aws_source)
        finally:
            self._moment.reset(token)
        told: Record = json.loads(body)["Entries"][0]
        return told

    def _source(self, target: Record, rule: Record) -> Source:
        rule_arn, target_arn = (rule or {}).get("Arn", ""), target.get("Arn", "")
        account = rule_arn.split(":")[4] if rule_arn else ""
        if ":schedule/" in rule_arn:
            return self._bridge.caller("scheduler")._replace(arn=rule_arn, account=account)
        policy = target.get("RetryPolicy") or {}
        return self._bridge.caller("eventbridge")._replace(
            arn=rule_arn,
            account=account,
            trace=self._trace.get(),
            dead_letter=(target.get("DeadLetterConfig") or {}).get("Arn", ""),
            attributes=(("RULE_ARN", rule_arn), ("TARGET_ARN", target_arn)),
            retries=(
                int(policy.get("MaximumRetryAttempts", _RETRIES[2])),
                int(policy.get("MaximumEventAgeInSeconds", _AGE[2])),
            ),
        )

    def _invalid(self, text: str) -> Answer:
        answer: Answer = self._module.error_response_json("ValidationException", text, 400)
        return answer


def value_at(path: str, event: Event) -> Any:
    """Return what a JSON path of names, numbers and `*` leads to; _MISSING if nowhere."""
    if not path.startswith("$"):
        return _MISSING
    values, is_many, position = [event], False, 1
    while position < len(path) and path[position:] != ".":
        step = _STEP.match(path, position)
        if step is None:
            return _MISSING
        position = step.end()
        name, index = step[1] or step[3], step[2]
        if name is None and not (index or "").isdigit():
            is_many = True
            values = [one for value in values if isinstance(value, list | dict) for one in _members(value)]
        elif name is not None:
            values = [value[name] for value in values if isinstance(value, dict) and name in value]
        else:
            number = int(index)
            values = [value[number] for value in values if isinstance(value, list) and number < len(value)]
    if is_many:
        return values
    return values[0] if values else _MISSING


def _members(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def _refused_entry(entry: Record) -> Record:
    """Return what is told of an entry that is no event, or nothing. Source: recorded by others against AWS."""
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):
            text = f"Parameter {name} is not valid. Reason: {name} is a required argument."
            return {"ErrorCode": "InvalidArgument", "ErrorMessage": text}
    try:
        is_object = isinstance(json.loads(entry["Detail"]), dict)
    except (ValueError, TypeError):
        is_object = False
    return {} if is_object else {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}


def _wrong_policy(policy: Record, number: int) -> str:
    for member, (name, least, most) in (("MaximumRetryAttempts", _RETRIES), ("MaximumEventAgeInSeconds", _AGE)):
        value = policy.get(member)
        if value is None or (isinstance(value, int) and least <= value <= most):
            continue
        bound = f"less than or equal to {most}" if not isinstance(value, int) or value > most else ""
        bound = bound or f"greater than or equal to {least}"
        return (
            f"1 validation error detected: Value '{value}' at 'targets.{number}.member.retryPolicy.{name}' failed to "
            f"satisfy constraint: Member must have value {bound}"
        )
    return ""


def _wrong_input(target: Record) -> str:
    name = target.get("Id", "")
    given = [member for member in ("Input", "InputPath", "InputTransformer") if target.get(member)]
    if len(given) > 1:
        return f"Only one of Input, InputPath, or InputTransformer must be provided for target {name}."
    if target.get("Input"):
        try:
            json.loads(target["Input"])
        except (ValueError, TypeError):
            return f"JSON syntax error in input for target {name}."
    path = target.get("InputPath")
    if path and not str(path).startswith("$"):
        return f"Invalid InputPath for target {name}."
    paths = (target.get("InputTransformer") or {}).get("InputPathsMap") or {}
    for key, one in paths.items():
        if not str(one).startswith("$"):
            return f"Invalid InputPathsMap for target {name}: {key}."
        if key.startswith("AWS."):
            return f"InputPathsMap for target {name}: keys must not begin with AWS."
    return "" if len(paths) <= _PATHS_MAX else f"InputPathsMap for target {name} has more than {_PATHS_MAX} keys."


def eventbridge(bridge: Bridge, module: Any) -> None:
    """Events: the rule calls; a target's dead-letter queue takes what cannot be delivered."""
    Rules(bridge, module).take_part()


PARTICIPANTS: dict[str, Callable[[Bridge, Any], None]] = {"eventbridge": eventbridge}
