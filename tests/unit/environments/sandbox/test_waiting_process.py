"""What starts a process that waits for its function."""

from __future__ import annotations

import pytest

from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily, SandboxError, SandboxKind
from lambent.environments.sandbox.waiting_process import node_flags, waiting_argv


def test_node_and_ruby() -> None:
    node = Interpreter(RuntimeFamily.NODEJS, "/usr/bin/node", "20.1.0")
    argv = waiting_argv(SandboxKind(RuntimeFamily.NODEJS, "0", node, memory_mib=128), "/client")
    assert (argv[0], argv[-1]) == ("/usr/bin/node", "/client/bootstrap.mjs")
    assert "--max-old-space-size=115" in argv
    ruby = Interpreter(RuntimeFamily.RUBY, "/usr/bin/ruby", "3.3.1")
    argv = waiting_argv(SandboxKind(RuntimeFamily.RUBY, "0", ruby), "/client")
    assert argv == ("/usr/bin/ruby", "/client/bootstrap.rb")


def test_java_waits_for_one_memory_size() -> None:
    java = Interpreter(RuntimeFamily.JAVA, "/jvm/bin/java", "17.0.1")
    argv = waiting_argv(SandboxKind(RuntimeFamily.JAVA, "0", java, memory_mib=128), "/client")
    assert "/jvm/bin/java" in argv
    assert "-XX:MaxHeapSize=111411k" in argv
    with pytest.raises(SandboxError, match="one memory size"):
        waiting_argv(SandboxKind(RuntimeFamily.JAVA, "0", java), "/client")


@pytest.mark.parametrize("family", [RuntimeFamily.PYTHON, RuntimeFamily.EXEC])
def test_where_nothing_waits(family: RuntimeFamily) -> None:
    assert not family.is_waiting_process
    with pytest.raises(SandboxError, match=f"no process waits in a {family}"):
        waiting_argv(SandboxKind(family, "0", Interpreter(family, "/x", "1.1.1")), "/client")
    with pytest.raises(SandboxError, match="needs an interpreter"):
        waiting_argv(SandboxKind(RuntimeFamily.RUBY, "0"), "/client")


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
