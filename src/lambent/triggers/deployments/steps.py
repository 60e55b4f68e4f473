"""The course of a deployment, pure: what it becomes when a step begins, ends or fails.

    Created ──► InProgress ──► Succeeded
                    │  BeforeAllowTraffic   a function is called and says whether to go on
                    │  AllowTraffic         the alias gets the target's weight in steps, at last the target alone
                    │  AfterAllowTraffic    a function is called and says whether that was well
                    ├──► Failed    a hook or an operation failed: its event Failed, those after it Skipped
                    └──► Stopped   an alarm rang or somebody stopped it: likewise

A rollback is a deployment of its own, of the versions the other way round, all at once and without hooks; it is
committed together with the end of the one that it takes back.
Source: observed by others on AWS (GetDeployment, GetDeploymentTarget).
"""

from __future__ import annotations

from msgspec.structs import replace

from lambent.model.configs.deployment import Deployment, LifecycleEvent

BEFORE = "BeforeAllowTraffic"
ALLOW = "AllowTraffic"
AFTER = "AfterAllowTraffic"
ALL_AT_ONCE = "AllAtOnce"
CANARY = "TimeBasedCanary"
LINEAR = "TimeBasedLinear"
# Source: user guide, "AppSpec 'hooks' section": a function that does not answer within one hour has failed.
HOOK_MS = 3_600_000
_MINUTE_MS = 60_000


def begun(deployment: Deployment, now_ms: int) -> Deployment:
    """Return a deployment whose first event is about to begin."""
    return replace(
        deployment,
        status="InProgress",
        started_ms=now_ms,
        updated_ms=now_ms,
        due_ms=now_ms,
        events=tuple(LifecycleEvent(name) for name in (BEFORE, ALLOW, AFTER)),
    )


def present(deployment: Deployment) -> LifecycleEvent | None:
    """Return the event that is to be begun or under way, None when all are over."""
    return next((event for event in deployment.events if event.status in ("Pending", "InProgress")), None)


def entered(deployment: Deployment, now_ms: int, hook_id: str = "") -> Deployment:
    """Return a deployment whose present event has begun; with a hook it is due when its time is over."""
    event = present(deployment)
    assert event is not None
    begun_event = replace(event, status="InProgress", started_ms=now_ms)
    return replace(
        _with(deployment, begun_event),
        hook_id=hook_id,
        hook_status="",
        is_hook_called=False,
        updated_ms=now_ms,
        due_ms=now_ms + HOOK_MS if hook_id else now_ms,
    )


def left(deployment: Deployment, now_ms: int) -> Deployment:
    """Return a deployment whose present event succeeded; after the last one it has succeeded itself."""
    event = present(deployment)
    assert event is not None
    done = replace(event, status="Succeeded", started_ms=event.started_ms or now_ms, ended_ms=now_ms)
    changed = _without_hook(_with(deployment, done), now_ms)
    if present(changed) is not None:
        return changed
    return replace(changed, status="Succeeded", completed_ms=now_ms, due_ms=None)


def ended(deployment: Deployment, status: str, code: str, message: str, now_ms: int) -> Deployment:
    """Return a deployment that is over before its time: `status` Failed or Stopped."""
    event = present(deployment)
    changed = _without_hook(deployment, now_ms)
    if event is not None:
        changed = _with(changed, replace(event, status="Failed", ended_ms=now_ms, message=message))
        skipped = tuple(replace(one, status="Skipped") if one.status == "Pending" else one for one in changed.events)
        changed = replace(changed, events=skipped)
    return replace(
        changed,
        status=status,
        error_code=code,
        error_message=message,
        completed_ms=now_ms,
        due_ms=None,
    )


def following_percent(deployment: Deployment) -> int:
    """Return how much of the traffic (percent) the target gets with the next shift.

    Source: API reference, TimeBasedCanary, TimeBasedLinear.
    """
    if deployment.kind == CANARY and deployment.percent == 0:
        return deployment.percentage
    if deployment.kind == LINEAR:
        return min(100, deployment.percent + deployment.percentage)
    return 100


def shifted(deployment: Deployment, percent: int, now_ms: int) -> Deployment:
    """Return a deployment whose alias has got that share: it is due again after its interval, or the event is over."""
    changed = replace(deployment, percent=percent, updated_ms=now_ms)
    if percent >= 100:
        return left(changed, now_ms)
    return replace(changed, due_ms=now_ms + deployment.interval_minutes * _MINUTE_MS)


def _without_hook(deployment: Deployment, now_ms: int) -> Deployment:
    """Return a deployment that waits for no function, and remembers the one that it waited for."""
    over = (*deployment.hooks_over, deployment.hook_id) if deployment.hook_id else deployment.hooks_over
    return replace(deployment, hook_id="", hook_status="", hooks_over=over, updated_ms=now_ms, due_ms=now_ms)


def _with(deployment: Deployment, event: LifecycleEvent) -> Deployment:
    events = tuple(event if one.name == event.name else one for one in deployment.events)
    return replace(deployment, events=events)
