"""The flags of node: its heap by the function's memory, its loader by its version."""

from __future__ import annotations

import pytest

from lambent.environments.sandbox.node_flags import node_flags
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily


def _node(version: str) -> Interpreter:
    return Interpreter(RuntimeFamily.NODEJS, "/usr/bin/node", version)


def test_heap_grows_with_the_memory_size() -> None:
    assert node_flags(_node("20.1.0"), None, "/client") == ("--max-http-header-size=81920",)
    heap = ("--max-old-space-size=115", "--max-semi-space-size=6")
    assert node_flags(_node("20.1.0"), 128, "/client")[1:] == heap


@pytest.mark.parametrize(("version", "is_flag_needed"), [("16.20.2", True), ("18.18.9", True), ("18.19.0", False)])
def test_only_an_older_node_is_told_its_loader_by_flag(version: str, is_flag_needed: bool) -> None:
    flags = node_flags(_node(version), None, "/client")
    assert ("--experimental-loader=/client/node_path.mjs" in flags) is is_flag_needed
