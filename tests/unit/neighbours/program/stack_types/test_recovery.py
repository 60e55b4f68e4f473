"""The journal of a stack's steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.neighbours.program.stack_types.recovery import Journal

if TYPE_CHECKING:
    from pathlib import Path


def test_steps_by_their_stacks_without_the_half_line_of_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    assert journal.steps() == {}
    journal.note("begun", "one", "F", type="t")
    journal.note("made", "one", "F", type="t", id="f")
    journal.note("begun", "two", "G")
    with path.open("a") as file:
        file.write('{"step": "ma')
    found = journal.steps()
    assert [one["step"] for one in found["one"]] == ["begun", "made"]
    assert [one["resource"] for one in found["two"]] == ["G"]
    journal.forget(is_empty=False)
    assert journal.steps() == found
    journal.forget(is_empty=True)
    assert journal.steps() == {}
