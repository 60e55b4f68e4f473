"""Turns of a loop, counted in the trace header."""

from __future__ import annotations

import pytest

from lambent.invocation.recursion import TURNS_MAX, RecursionGuard, RecursiveInvocationError
from lambent.model.arn import FunctionArn

ROOT = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"
F, G = (FunctionArn("000000000000", "us-east-1", name) for name in "fg")


def test_a_new_chain() -> None:
    header = RecursionGuard().next_header(ROOT, F)
    assert header.startswith(f"{ROOT};Lineage=1:")
    assert header.endswith(":0")


def test_the_seventeenth_turn_is_refused() -> None:
    guard, header = RecursionGuard(), ROOT
    for _ in range(TURNS_MAX):
        header = guard.next_header(guard.next_header(header, G) if header != ROOT else header, F)
    with pytest.raises(RecursiveInvocationError) as refused:
        guard.next_header(header, F.qualified("alias"))
    assert refused.value.code == "RecursiveInvocationException"


def test_what_is_allowed_goes_on() -> None:
    guard, header = RecursionGuard(), ROOT
    guard.put(F, "Allow")
    for _ in range(40):
        header = guard.next_header(header, F)
    guard.put(F, None)
    with pytest.raises(RecursiveInvocationError):
        guard.next_header(header, F)


def test_functions_are_counted_apart_and_the_rest_of_the_header_stays() -> None:
    guard = RecursionGuard()
    header = guard.next_header(guard.next_header(guard.next_header(ROOT + ";Self=1-2", F), G), F)
    assert header.startswith(f"{ROOT};Self=1-2;Lineage=")
    lineage = header.partition("Lineage=")[2]
    assert sorted(entry.rpartition(":")[2] for entry in lineage.split("|")) == ["0", "1"]


@pytest.mark.parametrize("lineage", ["a87bd80c:1|68fd508a:5", "1:fe460cdd:0", "", "x", "1:zz:0|", "|" * 50])
def test_whatever_comes_is_read(lineage: str) -> None:
    header = RecursionGuard().next_header(f"{ROOT};Lineage={lineage}", F)
    assert header.count("Lineage=") == 1
    many = RecursionGuard().next_header(f"Lineage={'|'.join(f'{n:08x}:1' for n in range(90))};{ROOT}", F)
    assert many.count("|") < 10
    assert "Root=1-" in many
