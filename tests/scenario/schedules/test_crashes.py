"""Kill -9 around firings: none is lost, none comes twice; what a stop missed is as on AWS."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.running import create_function
from tests.scenario.events.conftest import OBEDIENT, wait_drained
from tests.scenario.schedules.conftest import function_arn, request_ids, schedule, wait_events

if TYPE_CHECKING:
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.long


def test_no_schedule_is_lost_or_comes_twice(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory()
    create_function(server.client(), "works", {"index.py": OBEDIENT})
    scheduler = server.client("scheduler")
    begin = datetime.now(UTC) + timedelta(seconds=8)
    # Five a second over ten seconds: wherever the daemon is killed, some are on their way.
    for number in range(50):
        moment = begin + timedelta(seconds=number // 5)
        mark = f'{{"mark": "n{number:02}"}}'
        schedule(
            scheduler, f"n{number}", f"at({moment:%Y-%m-%dT%H:%M:%S})", {"Arn": function_arn("works"), "Input": mark},
            ActionAfterCompletion="DELETE",
        )  # fmt: skip
    for second in range(5):
        wanted = begin.timestamp() + 2 * second + 0.003 * second
        time.sleep(max(0.0, wanted - time.time()))
        server.kill()
        server.start()
    wait_events(server, "works", '"mark": "n49"')
    wait_drained(server)
    for number in range(50):
        # What was running when the daemon was killed runs again, as every event does: it is the same event.
        assert len(request_ids(server, "works", f'"mark": "n{number:02}"')) == 1, number
    assert server.client("scheduler").list_schedules()["Schedules"] == []


def test_what_was_due_while_nothing_ran(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory()
    create_function(server.client(), "works", {"index.py": OBEDIENT})
    scheduler = server.client("scheduler")
    moment = datetime.now(UTC) + timedelta(seconds=4)
    schedule(
        scheduler,
        "late",
        f"at({moment:%Y-%m-%dT%H:%M:%S})",
        {"Arn": function_arn("works"), "Input": '{"mark": "late"}'},
    )
    server.kill()
    time.sleep(max(0.0, moment.timestamp() + 2 - time.time()))
    for _ in range(3):
        server.start()
        wait_events(server, "works", '"mark": "late"')
        server.kill()
    server.start()
    wait_drained(server)
    assert len(request_ids(server, "works", '"mark": "late"')) == 1


@pytest.mark.timeout(300)
def test_a_rule_whose_minute_comes_while_the_daemon_is_killed(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"neighbours.enabled": "true"})
    lambda_client, events = server.client(), server.client("events")
    create_function(lambda_client, "works", {"index.py": OBEDIENT})
    minute = (datetime.now(UTC) + timedelta(seconds=75)).replace(second=0, microsecond=0)
    rule = events.put_rule(Name="r", ScheduleExpression=f"cron({minute.minute} {minute.hour} * * ? *)")["RuleArn"]
    events.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": function_arn("works"), "Input": '{"mark": "rule"}'}])
    lambda_client.add_permission(
        FunctionName="works", StatementId="r", Action="lambda:InvokeFunction", Principal="events.amazonaws.com",
        SourceArn=rule,
    )  # fmt: skip
    # What was answered is known after a kill at once.
    server.kill()
    server.start()
    for moment in (minute.timestamp() - 0.5, minute.timestamp() + 8):
        time.sleep(max(0.0, moment - time.time()))
        server.kill()
        server.start()
    wait_events(server, "works", '"mark": "rule"')
    wait_drained(server)
    assert len(request_ids(server, "works", '"mark": "rule"')) == 1
