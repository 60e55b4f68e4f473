"""Which records reach which subscriber, and in which form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lambent.environments.extensions.subscriptions import Api, Category, Destination, Subscription
from lambent.environments.extensions.telemetry import Telemetry
from tests.loops import run_apart

if TYPE_CHECKING:
    import socket

    from lambent.environments.extensions.subscriber import Subscriber


class Network:
    async def wait_running(self) -> None:
        return

    async def make_socket(self) -> socket.socket:
        raise AssertionError

    def now_text(self) -> str:
        return "now"


def subscribed(
    telemetry: Telemetry, api: Api = Api.TELEMETRY, schema: str = "2022-12-13", *categories: Category
) -> Subscriber:
    wanted = categories or tuple(Category)
    return telemetry.subscribe(Subscription(api, "e", schema, wanted, Destination(1, "/"), 1_000, 262_144, 1_000))


def held(subscriber: Subscriber) -> list[dict[str, Any]]:
    return [json.loads(item) for item in subscriber._open.items]


def run(scenario: Any) -> None:
    async def main() -> None:
        scenario()

    run_apart(main())


def test_who_subscribes_late_in_init_gets_what_was_before() -> None:
    def scenario() -> None:
        telemetry = Telemetry(Network(), has_json_logs=False)
        telemetry.platform(1_000, "platform.initStart", "{}")
        telemetry.output(2_000, Category.FUNCTION, b"one\ntwo\rfolded\n")
        first = subscribed(telemetry)
        assert held(first) == [
            {"time": "1970-01-01T00:00:01.000Z", "type": "platform.initStart", "record": {}},
            {"time": "1970-01-01T00:00:02.000Z", "type": "function", "record": "one\n"},
            {"time": "1970-01-01T00:00:02.000Z", "type": "function", "record": "two\rfolded\n"},
        ]
        telemetry.close_subscriptions()
        assert not telemetry.is_open
        assert telemetry.is_wanted
        telemetry.end()
        assert not telemetry.is_wanted

    run(scenario)


def test_only_what_was_asked_for() -> None:
    def scenario() -> None:
        telemetry = Telemetry(Network(), has_json_logs=False)
        one = subscribed(telemetry, Api.TELEMETRY, "2022-12-13", Category.EXTENSION)
        telemetry.platform(0, "platform.start", "{}")
        telemetry.output(0, Category.FUNCTION, b"f\n")
        telemetry.output(0, Category.EXTENSION, b"e\n")
        assert [record["type"] for record in held(one)] == ["extension"]

    run(scenario)


def test_the_logs_api_has_records_of_its_own() -> None:
    def scenario() -> None:
        telemetry = Telemetry(Network(), has_json_logs=False)
        new, old, older = (
            subscribed(telemetry),
            subscribed(telemetry, Api.LOGS, "2021-03-18"),
            subscribed(telemetry, Api.LOGS, "2020-08-15"),
        )
        for kind in ("initStart", "start", "runtimeDone", "end", "report", "fault"):
            telemetry.platform(0, f"platform.{kind}", '{"whole":true}', '{"short":true}')

        def kinds(subscriber: Subscriber) -> list[str]:
            return [record["type"].removeprefix("platform.") for record in held(subscriber)]

        assert kinds(new) == ["initStart", "start", "runtimeDone", "report"]
        assert kinds(old) == ["start", "runtimeDone", "end", "report", "fault"]
        assert kinds(older) == ["start", "end", "report", "fault"]
        assert held(new)[1]["record"] == {"whole": True}
        assert held(old)[0]["record"] == {"short": True}

    run(scenario)


def test_lines_of_json_logs_are_objects_from_the_second_schema_on() -> None:
    def scenario() -> None:
        telemetry = Telemetry(Network(), has_json_logs=True)
        new, old = subscribed(telemetry), subscribed(telemetry, Api.TELEMETRY, "2022-07-01")
        telemetry.output(0, Category.FUNCTION, b'{"a":1}\n{broken\nplain\n')
        assert [record["record"] for record in held(new)] == [{"a": 1}, "{broken\n", "plain\n"]
        assert [record["record"] for record in held(old)] == ['{"a":1}\n', "{broken\n", "plain\n"]

    run(scenario)


def test_what_is_kept_is_bounded() -> None:
    def scenario() -> None:
        telemetry = Telemetry(Network(), has_json_logs=False)
        for _ in range(100):
            telemetry.output(0, Category.FUNCTION, b"x" * 10_000 + b"\n")
        kept = subscribed(telemetry)._closed
        assert [len(batch.items) for batch in kept] == [27]

    run(scenario)
