"""Scheduled rules of EventBridge and rotations of secrets as they are known here: read, kept, read again after a start.

Both lie in the store as scheduled rules; the service in the ARN says which is which.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from lambent.model.configs.schedule import RuleScope, ScheduledRule
from lambent.model.errors import LambdaError
from lambent.store.contracts import CommitRefusedError
from lambent.triggers.schedules.rotations import SERVICE as _SECRETS
from lambent.triggers.schedules.rotations import rotations
from lambent.triggers.schedules.times import plans
from lambent.triggers.schedules.times.expressions import ExpressionError
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.clock import Clock
    from lambent.store import Resources
    from lambent.store.contracts import Write
    from lambent.triggers.schedules.stacks import StackedSchedules
    from lambent.wire.client import OutwardClient

_log = logging.getLogger(__name__)

_SCOPE = "rules"
_RULES = "events"
_AGAIN_SECONDS = 1.0
_AGAIN_SECONDS_MAX = 60.0
_RULES_MAX = 10_000
_BUILT_SECONDS = 2.0
_LEARNED_SECONDS = 15.0
# What CloudFormation does after its answer is looked for again.
_LATER_SECONDS = (1.0, 5.0, 20.0, 60.0)


class _Scope(NamedTuple):
    account_id: str
    region: str


class RuleBook:
    """Scope: process; rules and where there are any lie in the store. After a crash: as committed, then read again.

    The timer never waits for EventBridge: it fires what was read last, also while EventBridge is away. `services`:
    whose rules are timed here: events, secretsmanager.
    """

    def __init__(
        self,
        resources: Resources,
        client: OutwardClient,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        stacks: StackedSchedules | None = None,
        services: frozenset[str] = frozenset({_RULES}),
    ) -> None:
        self._resources = resources
        self._stacks = stacks
        self._services = services
        self._following: set[_Scope] = set()
        self._client = client
        self._clock = clock
        self._random_bytes = random_bytes
        self._known: set[_Scope] = set()
        self._locks: dict[_Scope, asyncio.Lock] = {}
        self._unread: dict[_Scope, None] = {}
        self._wake = asyncio.Event()

    def changed(self, scope: RuleScope | None) -> None:
        """A place with rules is known: here for the first time, or it was before the start."""
        if scope is not None:
            known = _Scope(scope.account_id, scope.region)
            if known not in self._known:
                self._known.add(known)
                self._note(known)

    async def begin(self, account_id: str, region: str) -> None:
        """A call that may change rules is about to be made: whatever happens next, they will be read.

        Raises:
            NeighbourError: that could not be kept (503).
        """
        scope = _Scope(account_id, region)
        if scope in self._known:
            return
        record = RuleScope(account_id, region, _SCOPE, self._new_id())
        # Before the commit: the feed tells of it as it tells of those that were there at the start.
        self._known.add(scope)
        try:
            await self._resources.commit(self._resources.put_over(record))
        except LambdaError as error:
            self._known.discard(scope)
            raise NeighbourError("InternalFailure", error.message, 503) from error

    async def learn(self, account_id: str, region: str, asked: str = _RULES, *, is_built: bool = False) -> None:
        """Read the rules of a place, those of the service asked; what prevents it is logged, and it is tried again.

        `is_built`: a stack may have made them, and goes on making them for a while; its schedules are read too.
        """
        scope = _Scope(account_id, region)
        if is_built or asked == _SECRETS:
            # When a rotation is done is seen later.
            self._follow(scope)
        try:
            # While it builds, CloudFormation may answer nothing else: whoever asked it does not wait for that.
            async with asyncio.timeout(_BUILT_SECONDS if is_built else _LEARNED_SECONDS):
                await self._learn(scope, self._services if is_built else frozenset({asked}), is_built=is_built)
        except (CallError, NeighbourError, LambdaError, TimeoutError) as error:
            why = str(error) or "no answer in time"
            _log.warning("the scheduled rules of %s in %s cannot be read yet: %s", account_id, region, why)
            self._note(scope)

    async def run(self) -> None:
        """Read what could not be read, until cancelled."""
        seconds = _AGAIN_SECONDS
        while True:
            await self._wake.wait()
            self._wake.clear()
            failed = False
            for scope in list(self._unread):
                del self._unread[scope]
                try:
                    await self._learn(scope, self._services, is_built=True)
                except (CallError, NeighbourError, LambdaError) as error:
                    _log.info("the scheduled rules of %s in %s: %s", scope.account_id, scope.region, error)
                    self._unread[scope] = None
                    failed = True
            if failed:
                await asyncio.sleep(seconds)
                self._wake.set()
            seconds = min(2 * seconds, _AGAIN_SECONDS_MAX) if failed else _AGAIN_SECONDS

    def _note(self, scope: _Scope) -> None:
        self._unread[scope] = None
        self._wake.set()

    def _follow(self, scope: _Scope) -> None:
        if scope in self._following:
            return
        self._following.add(scope)
        loop = asyncio.get_running_loop()
        for seconds in _LATER_SECONDS:
            loop.call_later(seconds, self._note, scope)
        # Whoever builds after the first of these has passed is followed anew.
        loop.call_later(_LATER_SECONDS[0], self._following.discard, scope)

    async def _learn(self, scope: _Scope, services: frozenset[str], *, is_built: bool) -> None:
        # One after the other: what was read first must not be kept last.
        async with self._locks.setdefault(scope, asyncio.Lock()):
            if is_built and self._stacks is not None:
                await self._stacks.learn(Principal(*scope))
            for service in sorted(services & self._services):
                await self._compare(scope, service)

    async def _compare(self, scope: _Scope, service: str) -> None:
        if service == _SECRETS:
            told = await rotations(self._client, Principal(*scope), self._new_id)
        else:
            told = await self._read(scope)
        kept = {name: rule for name, rule in (await self._kept(scope)).items() if _service(rule) == service}
        writes: list[Write] = [
            self._resources.delete(rule, is_any_revision=True) for name, rule in kept.items() if name not in told
        ]
        for name, rule in told.items():
            writes += self._change(kept.get(name), rule)
        for write in writes:
            try:
                await self._resources.commit(write)
            except CommitRefusedError:
                # The timer moved it on in this moment.
                self._note(scope)

    def _change(self, kept: ScheduledRule | None, told: ScheduledRule) -> list[Write]:
        if kept is None or _schedule(kept) != _schedule(told):
            fresh = told
            if told.next_ms is None:
                fresh = replace(told, next_ms=plans.first_of_rule_ms(told, self._clock.time_ms()))
            revision_id = None if kept is None else kept.revision_id
            return [
                self._resources.put_new(fresh) if revision_id is None else self._resources.put_over(fresh, revision_id)
            ]
        if (kept.arn, kept.targets) == (told.arn, told.targets):
            return []
        changed = replace(kept, arn=told.arn, targets=told.targets, revision_id=self._new_id())
        return [self._resources.put_over(changed, kept.revision_id)]

    async def _read(self, scope: _Scope) -> dict[str, ScheduledRule]:
        """Ask EventBridge for the rules with a schedule, and their targets."""
        principal = Principal(scope.account_id, scope.region)
        found: dict[str, ScheduledRule] = {}
        for rule in await self._all("ListRules", "Rules", {}, principal):
            expression = rule.get("ScheduleExpression")
            if not expression:
                continue
            name = rule["Name"]
            targets = await self._all("ListTargetsByRule", "Targets", {"Rule": name}, principal)
            told = ScheduledRule(
                scope.account_id,
                scope.region,
                name,
                self._new_id(),
                rule["Arn"],
                expression,
                rule.get("State", "ENABLED"),
                tuple(json.dumps(target, sort_keys=True) for target in targets),
                self._clock.time_ms(),
            )
            try:
                plans.first_of_rule_ms(told, told.anchor_ms)
            except ExpressionError:
                _log.warning("the rule %s has the schedule %s, which means nothing here", told.arn, expression)
                continue
            found[name] = told
        return found

    async def _all(self, action: str, member: str, body: dict[str, Any], principal: Principal) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        token: str | None = None
        while len(found) < _RULES_MAX:
            asked = body if token is None else {**body, "NextToken": token}
            answer = await self._client.call("events", action, asked, principal)
            found += answer.get(member) or []
            token = answer.get("NextToken")
            if not token:
                break
        return found

    async def _kept(self, scope: _Scope) -> dict[str, ScheduledRule]:
        found: dict[str, ScheduledRule] = {}
        after: tuple[str, str] | None = None
        while True:
            page = await self._resources.page(ScheduledRule, scope.account_id, scope.region, after=after, limit=100)
            found |= {rule.name: rule for rule in page}
            if len(page) < 100:
                return found
            after = (page[-1].name, "")

    def _new_id(self) -> str:
        return str(uuid.UUID(bytes=self._random_bytes(16), version=4))


def _service(rule: ScheduledRule) -> str:
    return rule.arn.split(":", 3)[2]


def _schedule(rule: ScheduledRule) -> tuple[str, str, int]:
    """Return what makes a rule count anew when it changes; a secret says itself for when it is due."""
    return rule.expression, rule.state, rule.anchor_ms if _service(rule) == _SECRETS else 0
