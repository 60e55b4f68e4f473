"""Deployments under way: each is taken from step to step when it is due, and what it does is committed after each."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.model.arn import parse_function_name
from lambent.model.caller import Caller
from lambent.model.errors import LambdaError, ServiceError
from lambent.store.contracts import CommitRefusedError
from lambent.triggers.deployments import endings, steps
from lambent.triggers.deployments.names import event_name, hook_execution_id, new_uuid
from lambent.triggers.deployments.revisions import AppSpec, RevisionError
from lambent.triggers.schedules.times.due import DueQueue
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError
from lambent.wire.generated.get_alias import GetAliasRequest
from lambent.wire.generated.shared import AliasRoutingConfiguration
from lambent.wire.generated.update_alias import UpdateAliasRequest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from lambent.model.configs.deployment import Deployment
    from lambent.store.contracts import RecordKey
    from lambent.triggers.deployments.parts import DeploymentParts
    from lambent.triggers.deployments.revisions import Revisions
    from lambent.triggers.schedules.holding import Holding

    class AsksAlarms(Protocol):
        """Who knows which alarms ring."""

        async def ringing(self, names: Sequence[str], principal: Principal) -> list[str]:
            """Return those that are in the state ALARM. Raises CallError, NeighbourError."""


_log = logging.getLogger(__name__)

_AT_ONCE_MAX = 256
_AGAIN_MS = 1_000
# A ringing alarm is heard within this time.
_ALARMS_MS = 3_000
# For how long CloudWatch may be silent before a deployment that depends on it is stopped.
_SILENCE_MS = 60_000
_ALARM_TEXT = (
    "One or more alarms have been activated according to the Amazon CloudWatch metrics you selected, and the affected "
    "deployments have been stopped. Activated alarms: {}"
)
_SILENT_TEXT = "The status of the alarms of the deployment group cannot be retrieved from Amazon CloudWatch: {}"


class TrafficShifting:
    """Scope: cluster, through `holding`: one daemon shifts. After a crash: from the step that was committed last.

    A step is done first and committed then: done once more after a crash it has the same effect, for the alias is set
    and not moved, and a hook's event is taken once. Keeps in memory what the feed tells: deployments that are not over.
    """

    def __init__(self, parts: DeploymentParts, revisions: Revisions, alarms: AsksAlarms, holding: Holding) -> None:
        self._parts = parts
        self._resources = parts.resources
        self._clock = parts.clock
        self._revisions = revisions
        self._alarms = alarms
        self._holding = holding
        self._endings = endings.Endings(parts.resources, parts.random_bytes)
        self._active: dict[RecordKey, Deployment] = {}
        self._due: DueQueue[RecordKey] = DueQueue(parts.clock)
        # One at a time for each alias: a rollback begins when the step before it is over.
        self._aliases: dict[tuple[str, str, str, str], asyncio.Lock] = {}
        self._silent_since: dict[RecordKey, int] = {}

    def changed(self, key: RecordKey, deployment: Deployment | None) -> None:
        """A deployment was made, changed, or (None) deleted."""
        if deployment is None or deployment.due_ms is None:
            self._active.pop(key, None)
            self._silent_since.pop(key, None)
            self._due.remove(key)
        else:
            self._active[key] = deployment
            self._due.put(key, self._look_ms(deployment))

    async def run(self) -> None:
        """Do what is due until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._holding.wait()
                await self._due.wait()
                for key in self._due.take_due(_AT_ONCE_MAX):
                    tasks.create_task(self._run_one(key))

    async def do_due(self) -> None:
        """Do all that is due now, and what that makes due."""
        while keys := self._due.take_due(_AT_ONCE_MAX):
            for key in keys:
                await self._run_one(key)

    async def _run_one(self, key: RecordKey) -> None:
        known = self._active.get(key)
        if known is None:
            return
        alias = (known.account_id, known.region, known.function or known.deployment_id, known.alias)
        lock = self._aliases.setdefault(alias, asyncio.Lock())
        try:
            async with lock:
                await self._advance(key)
        except CommitRefusedError:
            # Changed meanwhile: the feed told how, and what is due then.
            self._look_again(key, 0)
        except LambdaError as error:
            _log.warning("the deployment %s cannot go on yet: %s", key.name, error.message)
            self._look_again(key, _AGAIN_MS)
        except Exception:
            # A task that raises would end all others.
            _log.exception("the deployment %s failed", key.name)
            self._look_again(key, _ALARMS_MS)
        finally:
            if not lock.locked() and self._aliases.get(alias) is lock:
                del self._aliases[alias]

    def _look_again(self, key: RecordKey, after_ms: int) -> None:
        if key in self._active:
            self._due.put(key, self._clock.time_ms() + after_ms)

    def _look_ms(self, deployment: Deployment) -> int:
        assert deployment.due_ms is not None
        if deployment.hook_id and (deployment.hook_status or not deployment.is_hook_called):
            return self._clock.time_ms()
        if not _alarm_names(deployment):
            return deployment.due_ms
        return min(deployment.due_ms, self._clock.time_ms() + _ALARMS_MS)

    async def _advance(self, key: RecordKey) -> None:
        deployment = self._active.get(key)
        if deployment is None or deployment.due_ms is None:
            return
        now_ms = self._clock.time_ms()
        if deployment.status == "Created":
            await self._begin(deployment, now_ms)
            return
        if await self._is_stopped_by_alarm(key, deployment, now_ms):
            return
        event = steps.present(deployment)
        assert event is not None
        if deployment.hook_id:
            await self._await_hook(deployment, now_ms)
        elif event.status == "Pending":
            hook = deployment.hooks.get(event.name)
            if hook is None and event.name != steps.ALLOW:
                await self._commit(deployment, steps.left(deployment, now_ms))
            else:
                hook_id = "" if hook is None else hook_execution_id(self._parts.random_bytes)
                await self._commit(deployment, steps.entered(deployment, now_ms, hook_id))
        elif now_ms >= deployment.due_ms:
            await self._shift(deployment, now_ms)
        # What was only looked at is looked at again; what was committed is known from the feed.
        if self._active.get(key) is deployment:
            self._due.put(key, max(self._look_ms(deployment), now_ms + 1))

    async def _begin(self, deployment: Deployment, now_ms: int) -> None:
        told = deployment
        if not deployment.function:
            spec = await self._read(deployment, now_ms)
            if spec is None:
                return
            told = replace(
                deployment, function=spec.function, alias=spec.alias, current=spec.current, target=spec.target,
                hooks=spec.hooks,
            )  # fmt: skip
        refusal = await self._refusal(told)
        if refusal is not None:
            # Nothing has been shifted, and there is nothing to take back.
            over = steps.ended(steps.begun(told, now_ms), "Failed", *refusal, now_ms)
            await self._endings.commit(deployment, over, is_rolling_back=False)
            return
        await self._commit(deployment, steps.begun(told, now_ms))

    async def _read(self, deployment: Deployment, now_ms: int) -> AppSpec | None:
        """Return what the revision says; None when that has ended the deployment."""
        try:
            return await self._revisions.read(json.loads(deployment.revision), _principal(deployment))
        except RevisionError as error:
            code, text = "INVALID_REVISION", str(error)
        except (CallError, NeighbourError) as error:
            if error.status >= 500:
                raise ServiceError(f"S3 does not give the revision: {error}") from error
            code, text = "REVISION_MISSING", f"The revision could not be read from Amazon S3: {error}"
        over = steps.ended(deployment, "Failed", code, text, now_ms)
        await self._endings.commit(deployment, over, is_rolling_back=False)
        return None

    async def _refusal(self, deployment: Deployment) -> tuple[str, str] | None:
        """Return why traffic cannot be shifted (code and text), or None."""
        name = deployment.function
        try:
            request = GetAliasRequest(function_name=name, name=deployment.alias)
            alias = await self._parts.aliases.get_alias(_caller(deployment), request)
            function = parse_function_name(name, account_id=deployment.account_id, region=deployment.region)
            self._parts.knows(function.qualified(deployment.target))
        except ServiceError:
            raise
        except LambdaError as error:
            return "INVALID_LAMBDA_FUNCTION", error.message
        if deployment.rollback_of:
            return None
        if deployment.current == deployment.target:
            return "INVALID_LAMBDA_CONFIGURATION", "CurrentVersion and TargetVersion of the AppSpec are the same."
        if alias.function_version != deployment.current:
            text = (
                f"The alias {deployment.alias} of the Lambda function {name} points to version "
                f"{alias.function_version}, and the AppSpec says that its CurrentVersion is {deployment.current}."
            )
            return "INVALID_LAMBDA_CONFIGURATION", text
        return None

    async def _is_stopped_by_alarm(self, key: RecordKey, deployment: Deployment, now_ms: int) -> bool:
        names = _alarm_names(deployment)
        if not names:
            return False
        try:
            ringing = await self._alarms.ringing(names, _principal(deployment))
        except (CallError, NeighbourError) as error:
            since_ms = self._silent_since.setdefault(key, now_ms)
            is_ignored = json.loads(deployment.alarm_options).get("ignorePollAlarmFailure", False)
            if is_ignored or now_ms - since_ms < _SILENCE_MS:
                return False
            text = _SILENT_TEXT.format(error)
        else:
            self._silent_since.pop(key, None)
            if not ringing:
                return False
            text = _ALARM_TEXT.format(" ".join(f"<{name}>" for name in ringing))
        over = steps.ended(deployment, "Stopped", "ALARM_ACTIVE", text, now_ms)
        is_rolling_back = endings.rolls_back_on(deployment, endings.ON_ALARM)
        await self._endings.commit(deployment, over, is_rolling_back=is_rolling_back)
        return True

    async def _await_hook(self, deployment: Deployment, now_ms: int) -> None:
        event = steps.present(deployment)
        assert event is not None
        assert deployment.due_ms is not None
        if deployment.hook_status == "Succeeded":
            await self._commit(deployment, steps.left(deployment, now_ms))
            return
        name = deployment.hooks[event.name]
        if deployment.hook_status == "Failed":
            text = f"The Lambda function {name} of the lifecycle event {event.name} reported that it failed."
            await self._fail(deployment, "HOOK_EXECUTION_FAILURE", text, now_ms)
        elif now_ms >= deployment.due_ms:
            text = f"The Lambda function {name} of the lifecycle event {event.name} did not answer within one hour."
            await self._fail(deployment, "HOOK_EXECUTION_FAILURE", text, now_ms)
        elif not deployment.is_hook_called:
            await self._call_hook(deployment, name, now_ms)

    async def _call_hook(self, deployment: Deployment, name: str, now_ms: int) -> None:
        event = {"DeploymentId": deployment.deployment_id, "LifecycleEventHookExecutionId": deployment.hook_id}
        try:
            function = parse_function_name(name, account_id=deployment.account_id, region=deployment.region)
            self._parts.knows(function)
            await self._parts.enqueue(function, json.dumps(event).encode(), event_name(deployment.hook_id))
        except LambdaError as error:
            if isinstance(error, ServiceError) or error.code == "TooManyRequestsException":
                raise
            await self._fail(deployment, "HOOK_EXECUTION_FAILURE", error.message, now_ms)
            return
        await self._commit(deployment, replace(deployment, is_hook_called=True))

    async def _shift(self, deployment: Deployment, now_ms: int) -> None:
        percent = steps.following_percent(deployment)
        is_last = percent >= 100
        request = UpdateAliasRequest(
            function_name=deployment.function,
            name=deployment.alias,
            function_version=deployment.target if is_last else deployment.current,
            routing_config=AliasRoutingConfiguration(
                additional_version_weights={} if is_last else {deployment.target: percent / 100}
            ),
        )
        try:
            await self._parts.aliases.update_alias(_caller(deployment), request)
        except ServiceError:
            raise
        except LambdaError as error:
            await self._fail(deployment, "INVALID_LAMBDA_FUNCTION", error.message, now_ms)
            return
        await self._commit(deployment, steps.shifted(deployment, percent, now_ms))

    async def _fail(self, deployment: Deployment, code: str, text: str, now_ms: int) -> None:
        over = steps.ended(deployment, "Failed", code, text, now_ms)
        is_rolling_back = endings.rolls_back_on(deployment, endings.ON_FAILURE)
        await self._endings.commit(deployment, over, is_rolling_back=is_rolling_back)

    async def _commit(self, known: Deployment, changed: Deployment) -> None:
        if changed.due_ms is None:
            await self._endings.commit(known, changed, is_rolling_back=False)
            return
        kept = replace(changed, revision_id=new_uuid(self._parts.random_bytes))
        await self._resources.commit(self._resources.put_over(kept, known.revision_id))


def _alarm_names(deployment: Deployment) -> list[str]:
    if deployment.status == "Created":
        return []
    options = json.loads(deployment.alarm_options)
    return [str(one.get("name", "")) for one in options.get("alarms", ())] if options.get("enabled") else []


def _principal(deployment: Deployment) -> Principal:
    return Principal(deployment.account_id, deployment.region)


def _caller(deployment: Deployment) -> Caller:
    account_id = deployment.account_id
    return Caller(account_id, deployment.region, f"arn:aws:iam::{account_id}:root", deployment.deployment_id, "")
