"""What a stack says of a schedule: MiniStack's CloudFormation keeps a part of it; here it keeps all."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lambent.neighbours.program.sam.registration import register as register_sam
from lambent.neighbours.program.stack_types.registration import register

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.neighbours.program.bridge import Bridge

    Change = Callable[..., tuple[str, dict[str, Any]]]

# Members of AWS::Scheduler::Schedule, and what they are when a template does not say.
_MEMBERS = {
    "ScheduleExpressionTimezone": "UTC",
    "StartDate": None,
    "EndDate": None,
    "KmsKeyArn": None,
    "ActionAfterCompletion": "NONE",
    "Description": "",
    "State": "ENABLED",
}


def cloudformation(bridge: Bridge, _module: Any) -> None:
    """CloudFormation: Lambda's types are the daemon's; schedules have all their members."""
    # First, since the macros of the following stand before it.
    register_sam(bridge)
    register(bridge)
    handlers = sys.modules["ministack.services.cloudformation.provisioners"]._RESOURCE_HANDLERS
    row = handlers.get("AWS::Scheduler::Schedule")
    if row is not None:
        row["create"] = _whole(row["create"], properties=1)
        row["update"] = _whole(row["update"], properties=2)


def _whole(change: Change, properties: int) -> Change:
    """Return a change after which a schedule has all members; the properties are the argument of that number."""

    def changed(*arguments: Any, **named: Any) -> tuple[str, dict[str, Any]]:
        from ministack.services import scheduler

        answer = change(*arguments, **named)
        given = arguments[properties]
        schedule = scheduler._schedules.get(f"{given.get('GroupName', 'default')}/{answer[0]}")
        if schedule is not None:
            for member, default in _MEMBERS.items():
                schedule[member] = given.get(member, default)
        return answer

    return changed


PARTICIPANTS = {"cloudformation": cloudformation}
