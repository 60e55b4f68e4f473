"""What functions ask for their events: this plane's own view of their configurations, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.events.retries import AGE_SECONDS, RETRIES, EventLimits
from lambent.model.arn import LATEST
from lambent.model.errors import LambdaError
from lambent.model.event import Condition, Destination, TargetKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.model.arn import FunctionArn
    from lambent.model.configs.event import EventInvokeConfig
    from lambent.model.function import FunctionVersion


class EventConfigs:
    """Scope: node. Only writer: app.py's feed of committed changes. After a crash: rebuilt from the store.

    `resolve` finds the version that an ARN means (see Catalog.resolve); its dead-letter queue counts.
    """

    def __init__(self, resolve: Callable[[FunctionArn], FunctionVersion], base_seconds: float) -> None:
        self._resolve = resolve
        self._base_seconds = base_seconds
        self._configs: dict[tuple[str, str, str, str], EventInvokeConfig] = {}
        self._default = EventLimits(base_seconds=base_seconds)

    def put(self, config: EventInvokeConfig) -> None:
        """Take a committed configuration."""
        self._configs[config.account_id, config.region, config.name, config.qualifier] = config

    def remove(self, arn: FunctionArn) -> None:
        """Forget the configuration of a function, version or alias."""
        self._configs.pop(_key(arn), None)

    def limits(self, function: FunctionArn) -> EventLimits:
        """Return what applies to events for this version or alias."""
        config = self._configs.get(_key(function)) if self._configs else None
        if config is None:
            return self._default
        retries, age_seconds = config.maximum_retry_attempts, config.maximum_event_age_seconds
        return EventLimits(
            RETRIES if retries is None else retries,
            AGE_SECONDS if age_seconds is None else age_seconds,
            self._base_seconds,
        )

    def targets(self, function: FunctionArn, condition: Condition) -> tuple[Destination, ...]:
        """Return who is to be told that an event ended so."""
        config = self._configs.get(_key(function)) if self._configs else None
        is_success = condition is Condition.SUCCESS
        found = []
        arn = None if config is None else config.on_success if is_success else config.on_failure
        if arn is not None:
            found.append(Destination(TargetKind.DESTINATION, arn))
        dead_letter_arn = None if is_success else self._dead_letter_arn(function)
        if dead_letter_arn:
            found.append(Destination(TargetKind.DEAD_LETTER, dead_letter_arn))
        return tuple(found)

    def _dead_letter_arn(self, function: FunctionArn) -> str | None:
        try:
            return self._resolve(function).dead_letter_target_arn
        except LambdaError:
            return None


def _key(arn: FunctionArn) -> tuple[str, str, str, str]:
    return arn.account_id, arn.region, arn.name, arn.qualifier or LATEST
