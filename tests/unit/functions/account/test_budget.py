"""What is left of an account's concurrency."""

from __future__ import annotations

from lambent.functions.account.budget import ConcurrencyBudget

BUDGET = ConcurrencyBudget(1_000, {"a": 100, "b": 0}, {"a": {"1": 40, "live": 10}, "c": {"1": 7}})


def test_provisioned_counts_in_the_reservation_of_its_function_or_beside_all() -> None:
    assert BUDGET.unreserved() == 1_000 - 100 - 7
    assert BUDGET.unreserved(without="a") == 1_000 - 7
    assert BUDGET.unreserved(without="c") == 1_000 - 100


def test_what_a_function_has_provisioned() -> None:
    assert BUDGET.provisioned_of("a") == 50
    assert BUDGET.provisioned_of("a", without="live") == 40
    assert BUDGET.provisioned_of("b") == 0
