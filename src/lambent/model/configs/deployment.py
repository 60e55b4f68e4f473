"""Deployments as CodeDeploy has them for Lambda: applications, groups, configurations, and traffic on its way."""

from __future__ import annotations

# Every start makes these types, so they have no more methods than they need: a revision says what is alike.
from msgspec import Struct

ACTIVE = frozenset({"Created", "Queued", "InProgress"})


class DeploymentApplication(Struct, frozen=True, eq=False):
    """An application; its tags are kept as pairs in their order. Times in ms of the Unix epoch."""

    account_id: str
    region: str
    name: str
    revision_id: str
    application_id: str
    created_ms: int
    tags: tuple[tuple[str, str], ...] = ()


class DeploymentGroup(Struct, frozen=True, eq=False):
    """A deployment group. `options` is the JSON text of the members that are answered as they were given.

    `active`, `attempted`, `succeeded`: ids of the deployment under way, the last one, the last that succeeded, or "".
    """

    account_id: str
    region: str
    application: str
    name: str
    revision_id: str
    group_id: str
    config_name: str
    service_role_arn: str
    options: str = "{}"
    tags: tuple[tuple[str, str], ...] = ()
    active: str = ""
    attempted: str = ""
    succeeded: str = ""


class DeploymentConfig(Struct, frozen=True, eq=False):
    """How traffic is shifted. `kind` is AllAtOnce, TimeBasedCanary or TimeBasedLinear; percent and minutes with it."""

    account_id: str
    region: str
    name: str
    revision_id: str
    config_id: str
    created_ms: int
    kind: str
    percentage: int = 100
    interval_minutes: int = 0


class LifecycleEvent(Struct, frozen=True):
    """One step of a deployment: Pending, InProgress, Succeeded, Failed or Skipped. Times in ms of the Unix epoch."""

    name: str
    status: str = "Pending"
    started_ms: int | None = None
    ended_ms: int | None = None
    message: str = ""


class Deployment(Struct, frozen=True, eq=False):
    """A deployment. Times in ms of the Unix epoch.

    `revision`, `alarm_options`, `rollback_options` are the JSON texts that are answered. `current` and `target` are
    versions of `function`, whose `alias` is moved; `percent` of its traffic goes to the target. `hooks`: function by
    the event before which or after which it is called. `hook_id`: what the function that was called answers with,
    `hook_status` its answer or "", `hooks_over` the ids that are answered or given up. `due_ms`: when there is
    something to do next, None once it is over. `external_id`: of a stack's alias its ARN, else "".
    """

    account_id: str
    region: str
    deployment_id: str
    revision_id: str
    application: str
    group: str
    config_name: str
    kind: str
    percentage: int
    interval_minutes: int
    revision: str
    created_ms: int
    due_ms: int | None
    creator: str = "user"
    description: str = ""
    status: str = "Created"
    function: str = ""
    alias: str = ""
    current: str = ""
    target: str = ""
    hooks: dict[str, str] = {}
    events: tuple[LifecycleEvent, ...] = ()
    hook_id: str = ""
    hook_status: str = ""
    hooks_over: tuple[str, ...] = ()
    is_hook_called: bool = False
    percent: int = 0
    started_ms: int | None = None
    updated_ms: int | None = None
    completed_ms: int | None = None
    error_code: str = ""
    error_message: str = ""
    alarm_options: str = "{}"
    rollback_options: str = "{}"
    rollback_id: str = ""
    rollback_of: str = ""
    rollback_message: str = ""
    external_id: str = ""

    @property
    def is_active(self) -> bool:
        """Whether it is still to be done or under way."""
        return self.status in ACTIVE
