"""Random operations against the store and against a dictionary must end alike, reopenings included."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace

from lambent.model.errors import LambdaError, PreconditionFailedError, ResourceConflictError, ResourceNotFoundError
from lambent.model.function import CodeReference, FunctionState, FunctionTags, FunctionVersion
from lambent.store.contracts import CommitRefusedError
from tests.contract.store.conftest import ACCOUNT, Place, a_function, postgres_place

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from lambent.store import FunctionStore
    from tests.postgres import Postgres

T = TypeVar("T")
NAMES = st.sampled_from(["a", "b", "c"])
REGIONS = st.sampled_from(["us-east-1", "eu-west-1"])
VARIABLES = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=20), max_size=3)
REVISIONS = st.sampled_from(["r1", "r2", "r3"])


class StoreAgainstDictionary(RuleBasedStateMachine):
    """Each operation goes to one of the daemons on the store: SQLite has one, PostgreSQL two."""

    daemons: ClassVar[int] = 1
    postgres: ClassVar[Postgres | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        directory = Path(self.directory.name)
        self.place = Place(directory) if self.postgres is None else postgres_place(self.postgres, directory)
        self.opened = [self.run(self.place.open()) for _ in range(self.daemons)]
        self.functions: dict[tuple[str, str], FunctionVersion] = {}
        self.tags: dict[tuple[str, str], dict[str, str]] = {}

    @property
    def store(self) -> FunctionStore:
        # The one after the one before.
        self.opened.append(self.opened.pop(0))
        return self.opened[0].functions

    def run(self, work: Coroutine[object, object, T]) -> T:
        return self.loop.run_until_complete(work)

    def expect(self, work: Coroutine[object, object, object], error: type[LambdaError] | None) -> None:
        if error is None:
            self.run(work)
        else:
            with pytest.raises(error):
                self.run(work)

    @rule(name=NAMES, region=REGIONS, revision=REVISIONS, variables=VARIABLES, tags=VARIABLES)
    def insert(self, name: str, region: str, revision: str, variables: dict[str, str], tags: dict[str, str]) -> None:
        function = a_function(name, region=region, revision_id=revision, environment=variables)
        is_taken = (region, name) in self.functions
        self.expect(self.store.insert(function, tags), ResourceConflictError if is_taken else None)
        if not is_taken:
            self.functions[region, name] = function
            self.tags[region, name] = tags

    @rule(
        name=NAMES,
        region=REGIONS,
        expected=REVISIONS,
        revision=REVISIONS,
        size=st.integers(0, 9),
        pending=st.booleans(),
    )
    def update(self, name: str, region: str, expected: str, revision: str, size: int, pending: bool) -> None:
        current = self.functions.get((region, name))
        changed = replace(
            current or a_function(name, region=region),
            revision_id=revision,
            code=CodeReference(str(size) * 64, size, size),
            state=FunctionState.PENDING if pending else FunctionState.ACTIVE,
        )
        error: type[LambdaError] | None = None
        if current is None:
            error = ResourceNotFoundError
        elif current.revision_id != expected:
            error = PreconditionFailedError
        self.expect(self.store.update(changed, expected_revision_id=expected), error)
        if error is None:
            self.functions[region, name] = changed

    @rule(name=NAMES, region=REGIONS)
    def delete(self, name: str, region: str) -> None:
        was_there = self.functions.pop((region, name), None) is not None
        self.tags.pop((region, name), None)
        assert self.run(self.store.delete(a_function(name, region=region).arn)) == was_there

    @rule(name=NAMES, region=REGIONS, tags=VARIABLES)
    def put_tags(self, name: str, region: str, tags: dict[str, str]) -> None:
        is_there = (region, name) in self.tags
        resources = self.store.resources
        kept = FunctionTags(ACCOUNT, region, name, tags)
        function = a_function(name, region=region)
        writes = (resources.require(function, is_any_revision=True), resources.put_over(kept))
        self.expect(resources.commit(*writes), None if is_there else CommitRefusedError)
        if is_there:
            self.tags[region, name] = tags

    @rule()
    def reopen(self) -> None:
        self.run(self.opened.pop().close())
        self.opened.append(self.run(self.place.open()))

    @invariant()
    def is_alike(self) -> None:
        for region in ("us-east-1", "eu-west-1"):
            expected = [f for (in_region, _), f in sorted(self.functions.items()) if in_region == region]
            listed = self.run(self.store.list_functions("000000000000", region, after_name=None, limit=10))
            assert list(listed) == expected
            usage = (len(expected), sum(function.code.size_bytes for function in expected))
            assert self.run(self.store.usage("000000000000", region)) == usage
            for function in expected:
                assert self.run(self.store.get_tags(function.arn)) == self.tags[region, function.name]
        assert self.run(self.store.code_in_use()) == {function.code.sha256 for function in self.functions.values()}
        pending = [f for (_, _), f in sorted(self.functions.items()) if f.state is FunctionState.PENDING]
        assert list(self.run(self.store.list_unsettled())) == pending

    def teardown(self) -> None:
        for opened in self.opened:
            self.run(opened.close())
        self.loop.close()
        self.directory.cleanup()


def run_machine(machine: type[StoreAgainstDictionary], examples: int) -> None:
    rules = settings(max_examples=examples, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(machine, settings=rules)


@pytest.mark.slow
def test_the_store_is_a_dictionary() -> None:
    run_machine(StoreAgainstDictionary, 25)


@pytest.mark.slow
def test_the_store_of_two_daemons_is_one_dictionary(postgres: Postgres) -> None:
    run_machine(type("OnPostgres", (StoreAgainstDictionary,), {"daemons": 2, "postgres": postgres}), 8)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_both_for_longer(postgres: Postgres) -> None:
    run_machine(StoreAgainstDictionary, 300)
    run_machine(type("OnPostgres", (StoreAgainstDictionary,), {"daemons": 2, "postgres": postgres}), 60)
