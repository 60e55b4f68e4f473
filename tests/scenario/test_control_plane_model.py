"""Random changes of functions, versions and aliases, with SIGKILL between and during them, end as a model says."""

from __future__ import annotations

import contextlib
import copy
import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.postgres import Postgres
from tests.running import create_function

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.running import LambentServer

pytestmark = [pytest.mark.long, pytest.mark.slow]

CODE = {"index.py": "def handler(event, context):\n    return 1\n"}
NAMES = st.sampled_from(["a", "b"])
ALIASES = st.sampled_from(["live", "next"])
NUMBERS = st.integers(1, 4)
DESCRIPTIONS = st.sampled_from(["x", "y", "z"])
OPERATIONS = ("create", "update", "publish", "put_alias", "delete_alias", "delete_version", "delete")


@dataclass
class Function:
    """What the model knows of a function: versions by number with what they were published from, aliases."""

    description: str = ""
    versions: dict[int, str] = field(default_factory=dict)
    aliases: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    # Not told by any answer: whether an update came since the last publication.
    is_updated: bool = field(default=True, compare=False)

    def uses(self, number: int) -> bool:
        return any(number in pair for pair in self.aliases.values())


class Model:
    """Functions by name, and the last number that each name ever gave."""

    def __init__(self) -> None:
        self.functions: dict[str, Function] = {}
        self.numbers: dict[str, int] = {}

    def apply(self, operation: str, name: str, alias: str, number: int, description: str) -> bool:
        """Do an operation; return whether AWS would accept it."""
        function = self.functions.get(name)
        if operation == "create":
            if function is not None:
                return False
            self.functions[name] = Function()
            return True
        if function is None:
            return False
        if operation == "update":
            function.description = description
            function.is_updated = True
        elif operation == "publish":
            self._publish(name, function)
        elif operation == "put_alias":
            other = number + 1 if number + 1 in function.versions else None
            if number not in function.versions:
                return False
            function.aliases[alias] = (number, other)
        elif operation == "delete_alias":
            function.aliases.pop(alias, None)
        elif operation == "delete_version":
            if function.uses(number):
                return False
            function.versions.pop(number, None)
        else:
            del self.functions[name]
        return True

    def _publish(self, name: str, function: Function) -> None:
        last = self.numbers.get(name, 0)
        if last in function.versions and not function.is_updated:
            return
        function.is_updated = False
        self.numbers[name] = last + 1
        function.versions[last + 1] = function.description


class ControlPlaneAgainstModel(RuleBasedStateMachine):
    """One server for all examples; each example has names of its own."""

    server: ClassVar[LambentServer]

    def __init__(self) -> None:
        super().__init__()
        self.prefix = f"model-{secrets.token_hex(4)}-"
        self.model = Model()
        self.client: Any = self.server.client()

    @rule(operation=st.sampled_from(OPERATIONS), name=NAMES, alias=ALIASES, number=NUMBERS, description=DESCRIPTIONS)
    def change(self, operation: str, **given: Any) -> None:
        is_accepted = self.model.apply(operation, **given)
        if is_accepted:
            self.do(operation, **given)
            return
        with pytest.raises(ClientError) as refused:
            self.do(operation, **given)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 409)

    @rule()
    def crash(self) -> None:
        self.server.kill()
        self.server.start()
        self.client = self.server.client()

    @rule(
        operation=st.sampled_from(OPERATIONS), name=NAMES, alias=ALIASES, number=NUMBERS, description=DESCRIPTIONS,
        delay_ms=st.integers(0, 25),
    )  # fmt: skip
    def crash_during(self, operation: str, delay_ms: int, **given: Any) -> None:
        before = self.model.functions.get(given["name"])
        if before is not None and before.description == given["description"]:
            # Whether an update came about can be seen only if it changes something.
            given["description"] += "'"
        after = copy.deepcopy(self.model)
        after.apply(operation, **given)
        begun = threading.Event()
        thread = threading.Thread(target=self.do_until_gone, args=(operation, begun), kwargs=given)
        thread.start()
        begun.wait()
        thread.join(delay_ms / 1000)
        self.crash()
        thread.join()
        # Before or after, nothing between; what is under way then is ended by the start.
        for one in self.model.functions.keys() | after.functions.keys():
            if self.seen(one) is not None:
                self.settle(one)
        if not self.is_alike(self.model):
            self.model = after

    @invariant()
    def ends_alike(self) -> None:
        assert self.is_alike(self.model), (
            self.model.functions,
            {name: self.seen(name) for name in ("a", "b")},
        )

    def do(self, operation: str, name: str, alias: str, number: int, description: str) -> None:
        client, target = self.client, {"FunctionName": self.prefix + name}
        if operation == "create":
            create_function(client, target["FunctionName"], CODE)
        elif operation == "update":
            client.update_function_configuration(**target, Description=description)
            self.settle(name)
        elif operation == "publish":
            client.publish_version(**target)
        elif operation == "put_alias":
            self.put_alias(target, alias, number)
        elif operation == "delete_alias":
            client.delete_alias(**target, Name=alias)
        elif operation == "delete_version":
            client.delete_function(**target, Qualifier=str(number))
        else:
            client.delete_function(**target)

    def put_alias(self, target: dict[str, str], alias: str, number: int) -> None:
        listed = self.client.list_versions_by_function(**target)["Versions"]
        is_other_there = str(number + 1) in {one["Version"] for one in listed}
        routing = {"AdditionalVersionWeights": {str(number + 1): 0.25} if is_other_there else {}}
        members = {**target, "Name": alias, "FunctionVersion": str(number), "RoutingConfig": routing}
        try:
            self.client.create_alias(**members)
        except self.client.exceptions.ResourceConflictException:
            self.client.update_alias(**members)

    def do_until_gone(self, operation: str, begun: threading.Event, **given: Any) -> None:
        begun.set()
        with contextlib.suppress(ClientError, BotoCoreError):
            self.do(operation, **given)

    def settle(self, name: str) -> None:
        waiter = self.client.get_waiter("function_updated_v2")
        waiter.wait(FunctionName=self.prefix + name, WaiterConfig={"Delay": 0, "MaxAttempts": 5_000})

    def is_alike(self, model: Model) -> bool:
        return all(self.seen(name) == model.functions.get(name) for name in ("a", "b"))

    def seen(self, name: str) -> Function | None:
        """Return the function as the API tells it."""
        target = {"FunctionName": self.prefix + name}
        try:
            listed = self.client.list_versions_by_function(**target)["Versions"]
        except self.client.exceptions.ResourceNotFoundException:
            return None
        found = Function(listed[0]["Description"])
        found.versions = {int(one["Version"]): one["Description"] for one in listed[1:]}
        for alias in self.client.list_aliases(**target)["Aliases"]:
            weights = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
            other = next((int(number) for number in weights), None)
            found.aliases[alias["Name"]] = (int(alias["FunctionVersion"]), other)
        return found

    def teardown(self) -> None:
        for name in ("a", "b"):
            if self.seen(name) is not None:
                self.client.delete_function(FunctionName=self.prefix + name)


def run_against(server: LambentServer, examples: int) -> None:
    machine = type("Machine", (ControlPlaneAgainstModel,), {"server": server})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_control_plane_on_sqlite(lambent_server_factory: Callable[..., LambentServer]) -> None:
    run_against(lambent_server_factory(), 2)


def test_the_control_plane_on_postgresql(lambent_server_factory: Callable[..., LambentServer], tmp_path: Path) -> None:
    postgres = Postgres()
    try:
        server = lambent_server_factory({"store.url": postgres.make_database("model")}, tmp_path / "data")
        try:
            run_against(server, 1)
        finally:
            server.close()
    finally:
        postgres.remove()


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_both_for_longer(lambent_server_factory: Callable[..., LambentServer], tmp_path: Path) -> None:
    run_against(lambent_server_factory(), 12)
    postgres = Postgres()
    try:
        server = lambent_server_factory({"store.url": postgres.make_database("model")}, tmp_path / "data")
        try:
            run_against(server, 6)
        finally:
            server.close()
    finally:
        postgres.remove()
