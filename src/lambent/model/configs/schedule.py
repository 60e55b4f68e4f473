"""What is done at a time: schedules of EventBridge Scheduler, scheduled rules of EventBridge, and what they set off."""

from __future__ import annotations

# Every start makes these types, so they have no more methods than they need: a revision says what is alike.
from msgspec import Struct


class Schedule(Struct, frozen=True, eq=False):
    """A schedule of EventBridge Scheduler. Times in ms of the Unix epoch.

    `target` is the JSON text that is answered. `window_minutes` 0: FlexibleTimeWindow OFF. `anchor_ms`: from where a
    rate counts. `next_ms`: what it is due for next, None when there is nothing more, or it is DISABLED.
    `stacked`: what a stack of the embedded CloudFormation says of it, as a digest; it goes when that removes it.
    """

    account_id: str
    region: str
    name: str
    group: str
    revision_id: str
    expression: str
    target: str
    created_ms: int
    modified_ms: int
    anchor_ms: int
    timezone: str = "UTC"
    start_ms: int | None = None
    end_ms: int | None = None
    description: str | None = None
    state: str = "ENABLED"
    kms_key_arn: str | None = None
    window_minutes: int = 0
    action_after_completion: str = "NONE"
    client_token: str = ""
    next_ms: int | None = None
    stacked: str = ""

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:scheduler:{self.region}:{self.account_id}:schedule/{self.group}/{self.name}"


class ScheduleGroup(Struct, frozen=True, eq=False):
    """A group of schedules; its tags are kept as pairs in their order. `is_stacked`: a stack made it."""

    account_id: str
    region: str
    name: str
    revision_id: str
    created_ms: int
    modified_ms: int
    state: str = "ACTIVE"
    tags: tuple[tuple[str, str], ...] = ()
    client_token: str = ""
    is_stacked: bool = False

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:scheduler:{self.region}:{self.account_id}:schedule-group/{self.name}"


class ScheduledRule(Struct, frozen=True, eq=False):
    """A rule of the default event bus that has a schedule, as EventBridge told it last.

    `targets` are JSON texts, one for each. `anchor_ms` and `next_ms` as in Schedule.
    """

    account_id: str
    region: str
    name: str
    revision_id: str
    arn: str
    expression: str
    state: str
    targets: tuple[str, ...] = ()
    anchor_ms: int = 0
    next_ms: int | None = None


class RuleScope(Struct, frozen=True, eq=False):
    """An account and region whose rules are known here, so that they are read again after a start."""

    account_id: str
    region: str
    name: str
    revision_id: str


class Firing(Struct, frozen=True, eq=False):
    """One target to be invoked, once: kept from the moment that it is due until it is done.

    `name` is unique to source, target and time, so that no firing is made twice. `source` is the ARN of the schedule
    or rule, `target` its JSON text; a rule's has what the target gets as its Input. `due_ms`: when it is attempted
    next. `group` and `schedule`: the schedule to delete when it is done.
    """

    account_id: str
    region: str
    name: str
    revision_id: str
    source: str
    target: str
    scheduled_ms: int
    made_ms: int
    due_ms: int
    attempts: int = 0
    group: str = ""
    schedule: str = ""
