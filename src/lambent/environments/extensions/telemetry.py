"""The telemetry of one environment, as records for whoever subscribed.

While Init runs records are kept, for an extension that subscribes later in Init gets those from the beginning.
Source: developer guide, "Lambda Telemetry API Event schema reference" and "Lambda Logs API"; order and fields of AWS's
runtime interface emulator.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from msgspec import Struct

from lambent.environments.extensions.records import compact, time_text
from lambent.environments.extensions.subscriber import Subscriber
from lambent.environments.extensions.subscriptions import Api, Category
from lambent.model.platform_event import unfolded

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.environments.extensions.subscriber import Network
    from lambent.environments.extensions.subscriptions import Subscription

KEPT_BYTES_MAX = 262_144
_DEFER_SECONDS = 0.005
_RUNTIME_DONE_SCHEMA = "2021-03-18"
_LOGS_ONLY = frozenset({"platform.end", "platform.fault", "platform.logsSubscription"})
_LOGS_TOO = frozenset({"platform.start", "platform.report", "platform.extension", "platform.runtimeDone"})


class _Record(Struct, frozen=True):
    at_ms: int
    category: Category
    kind: str
    # JSON of the record; for output the line itself.
    content: str
    # What the Logs API says instead, where that differs.
    logs_content: str | None = None


class Telemetry:
    """Records and subscribers. Scope: environment. `begin` forgets both: a reset ends every extension."""

    def __init__(self, network: Network, *, has_json_logs: bool) -> None:
        self._network = network
        self._has_json_logs = has_json_logs
        self._subscribers: list[Subscriber] = []
        self._kept: list[_Record] | None = []
        self._kept_bytes = 0
        self._deferred: list[tuple[Callable[..., None], tuple[object, ...]]] = []
        self._timer: asyncio.TimerHandle | None = None
        # The usual case, told without detours: one subscriber, by the Telemetry API, to platform records.
        self._only: Subscriber | None = None

    @property
    def subscribers(self) -> tuple[Subscriber, ...]:
        """Who subscribed."""
        return tuple(self._subscribers)

    @property
    def is_open(self) -> bool:
        """Whether subscriptions are taken: until Init is over."""
        return self._kept is not None

    @property
    def is_wanted(self) -> bool:
        """Whether somebody reads, or may come to read, what is recorded."""
        return bool(self._subscribers) or self._kept is not None

    @property
    def has_old_subscribers(self) -> bool:
        """Whether somebody reads, or may come to read, by the Logs API."""
        return self._kept is not None or any(each.subscription.api is Api.LOGS for each in self._subscribers)

    def begin(self) -> None:
        """A new Init: nobody has subscribed."""
        self.end()
        self._kept = []
        self._kept_bytes = 0

    def close_subscriptions(self) -> None:
        """Init is over."""
        self._kept = None
        if len(self._subscribers) == 1 and self._subscribers[0].subscription.api is Api.TELEMETRY:
            self._only = self._subscribers[0] if self._subscribers[0].wants(Category.PLATFORM) else None

    def subscribe(self, subscription: Subscription) -> Subscriber:
        """Add a subscriber; it gets what was recorded since Init began. Its `run` is the caller's to start."""
        subscriber = Subscriber(subscription, self._network)
        self._subscribers.append(subscriber)
        for record in self._kept or ():
            self._offer(subscriber, record)
        return subscriber

    def find(self, name: str) -> Subscriber | None:
        """Return the subscriber of an extension's name."""
        return next((each for each in self._subscribers if each.subscription.name == name), None)

    def defer(self, tell: Callable[..., None], *arguments: object) -> None:
        """Let `tell(*arguments)` record something a moment later, in the order of these calls.

        To write a record takes longer than to note what it will say: invocations that follow each other closely do
        not wait for it.
        """
        self._deferred.append((tell, arguments))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_DEFER_SECONDS, self.catch_up)

    def catch_up(self) -> None:
        """Record what was deferred, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deferred, self._deferred = self._deferred, []
        for tell, arguments in deferred:
            tell(*arguments)

    def end(self) -> None:
        """Stop delivering."""
        self._deferred = []
        self.catch_up()
        for subscriber in self._subscribers:
            subscriber.end()
        self._subscribers = []
        self._only = None
        self._kept = None

    def platform(self, at_ms: int, kind: str, content: str, logs_content: str | None = None) -> None:
        """Record a platform event; `content` is the JSON of its record."""
        if self._deferred:
            self.catch_up()
        if self._kept is not None:
            self._record(_Record(at_ms, Category.PLATFORM, kind, content, logs_content))
            return
        if self._only is not None and kind not in _LOGS_ONLY:
            self._only.add(f'{{"time":"{time_text(at_ms)}","type":"{kind}","record":{content}}}'.encode())
            return
        for subscriber in self._subscribers:
            self._offer_platform(subscriber, at_ms, kind, content, logs_content)

    def output(self, at_ms: int, category: Category, lines: bytes) -> None:
        """Record what was written inside: finished lines. A line folded by a runtime client is one record."""
        if self._kept is not None:
            self._output_now(at_ms, category, lines)
        elif self._subscribers:
            self.defer(self._output_now, at_ms, category, lines)

    def _output_now(self, at_ms: int, category: Category, lines: bytes) -> None:
        for line in lines.removesuffix(b"\n").split(b"\n"):
            text = unfolded(line).decode(errors="replace") + "\n"
            self._record(_Record(at_ms, category, category.value, text))

    def _record(self, record: _Record) -> None:
        if self._kept is not None and self._kept_bytes < KEPT_BYTES_MAX:
            self._kept.append(record)
            self._kept_bytes += len(record.content)
        for subscriber in self._subscribers:
            self._offer(subscriber, record)

    def _offer(self, subscriber: Subscriber, record: _Record) -> None:
        if record.category is Category.PLATFORM:
            self._offer_platform(subscriber, record.at_ms, record.kind, record.content, record.logs_content)
        elif subscriber.wants(record.category):
            _add(subscriber, record.at_ms, record.kind, self._output_content(subscriber, record.content))

    @staticmethod
    def _offer_platform(subscriber: Subscriber, at_ms: int, kind: str, content: str, logs_content: str | None) -> None:
        if not subscriber.wants(Category.PLATFORM):
            return
        subscription = subscriber.subscription
        if subscription.api is Api.LOGS:
            if _is_of_logs_api(kind, subscription.schema_version):
                _add(subscriber, at_ms, kind, logs_content or content)
        elif kind not in _LOGS_ONLY:
            _add(subscriber, at_ms, kind, content)

    def _output_content(self, subscriber: Subscriber, line: str) -> str:
        # From schema version 2022-12-13 on a line of a function that logs JSON is the object that it holds.
        if self._has_json_logs and subscriber.wants_objects and line.startswith("{"):
            try:
                json.loads(line)
            except (ValueError, RecursionError):
                pass
            else:
                return line.strip()
        return json.dumps(line)


def _add(subscriber: Subscriber, at_ms: int, kind: str, content: str) -> None:
    subscriber.add(f'{{"time":"{time_text(at_ms)}","type":"{kind}","record":{content}}}'.encode())


def _is_of_logs_api(kind: str, schema_version: str) -> bool:
    if kind == "platform.runtimeDone":
        return schema_version >= _RUNTIME_DONE_SCHEMA
    return kind in _LOGS_ONLY or kind in _LOGS_TOO


def subscription_record(subscription: Subscription, state: str) -> str:
    """Return the record of platform.telemetrySubscription and platform.logsSubscription."""
    record = {"name": subscription.name, "state": state, "types": list(subscription.categories)}
    return compact(record)
