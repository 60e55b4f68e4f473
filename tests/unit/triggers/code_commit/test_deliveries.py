"""Pushes on their way: who is told, what is tried again, what is given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from lambent.model.configs.repository import Repository, RepositoryTrigger
from lambent.triggers.code_commit.deliveries import PushDeliveries
from lambent.triggers.code_commit.destinations import UndeliveredError
from lambent.triggers.code_commit.git import Git, GitError
from lambent.triggers.code_commit.pushes import Change, pending_text
from tests.loops import run_apart

if TYPE_CHECKING:
    from pathlib import Path

FUNCTION = "arn:aws:lambda:eu-west-1:111122223333:function:"
CHANGE = Change("refs/heads/main", None, "b" * 40)


def _trigger(name: str, *events: str) -> RepositoryTrigger:
    return RepositoryTrigger(name, FUNCTION + name, events or ("all",))


class World(Git):
    """The neighbours, in one object: a git that only has a directory, destinations, a store of one repository."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "")
        self.repository = Repository(
            "111122223333", "eu-west-1", "app", "r", "id", 0, 0, default_branch="main", triggers=(_trigger("one"),)
        )
        self.told: list[tuple[str, str]] = []
        self.failing: dict[str, UndeliveredError] = {}
        self.heads: list[tuple[str, ...]] = []
        self.now_ms = 0
        self.deliveries = PushDeliveries(self, self, self, self)  # type: ignore[arg-type]
        self.pending(self.repository).mkdir(parents=True)

    def push(self, name: str = "1", *changes: Change) -> None:
        text = pending_text("", changes or (CHANGE,))
        (self.pending(self.repository) / f"{name}.push").write_text(text)

    def left(self) -> list[str]:
        return sorted(path.name for path in self.pending(self.repository).iterdir())

    def deliver(self) -> bool:
        return run_apart(self.deliveries.deliver(self.repository))

    def time_ms(self) -> int:
        return self.now_ms

    async def tell(self, _repository: Repository, trigger: RepositoryTrigger, event: Any, _name: str) -> None:
        if trigger.name in self.failing:
            raise self.failing[trigger.name]
        self.told.append((trigger.name, event["Records"][0]["codecommit"]["references"][0]["ref"]))

    async def get(self, *_key: object) -> Repository:
        return self.repository

    def put_over(self, value: Repository, revision_id: str) -> Repository:
        assert revision_id == self.repository.revision_id
        return value

    async def commit(self, value: Repository) -> None:
        self.repository = value

    async def run(self, _repository: Repository, *words: str, given: bytes = b"") -> bytes:
        if "fail" in words[-1]:
            raise GitError("no")
        self.heads.append(words)
        return given


def test_what_is_told_is_gone(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.push("1")
    world.push("2", Change("refs/heads/two", None, "b" * 40))
    (world.pending(world.repository) / "3.part").write_text("half")
    assert world.deliver()
    assert world.told == [("one", "refs/heads/main"), ("one", "refs/heads/two")]
    assert world.left() == ["3.part"]


def test_what_cannot_be_told_yet_stays_and_nobody_hears_of_it_twice(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.repository = replace(world.repository, triggers=(_trigger("one"), _trigger("two")))
    world.failing["one"] = UndeliveredError("full", is_final=False)
    world.push()
    assert not world.deliver()
    assert not world.deliver()
    assert (world.told, world.left()) == ([("two", "refs/heads/main")], ["1.push"])
    world.failing.clear()
    assert world.deliver()
    assert (world.told[1:], world.left()) == ([("one", "refs/heads/main")], [])


@pytest.mark.parametrize(("is_final", "now_ms"), [(True, 0), (False, 10**14)])
def test_what_never_can_be_told_or_is_too_old_is_given_up(tmp_path: Path, is_final: bool, now_ms: int) -> None:
    world = World(tmp_path)
    world.failing["one"] = UndeliveredError("no", is_final=is_final)
    world.now_ms = now_ms
    world.push()
    assert world.deliver()
    assert (world.told, world.left()) == ([], [])


def test_a_trigger_of_other_events_is_not_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.repository = replace(world.repository, triggers=(_trigger("one", "deleteReference"),))
    world.push()
    assert world.deliver()
    assert (world.told, world.left()) == ([], [])


def test_the_first_branch_becomes_the_default_branch(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.repository = replace(world.repository, default_branch=None)
    world.push("1", Change("refs/tags/v1", None, "b" * 40), Change("refs/heads/trunk", None, "b" * 40))
    assert world.deliver()
    assert world.repository.default_branch == "trunk"
    assert world.heads == [("symbolic-ref", "HEAD", "refs/heads/trunk")]
    world.push("2", Change("refs/heads/other", None, "b" * 40))
    assert world.deliver()
    assert world.repository.default_branch == "trunk"


def test_changes_of_the_api_are_kept_as_pushes_are(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.failing["one"] = UndeliveredError("full", is_final=False)
    run_apart(world.deliveries.note(world.repository, "arn:x", (CHANGE,), "9"))
    assert world.left() == ["9.push"]
    assert (world.pending(world.repository) / "9.push").read_text().startswith("pusher arn:x\n")
