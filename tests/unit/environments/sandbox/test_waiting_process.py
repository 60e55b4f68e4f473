"""What starts a process that waits for its function."""

from __future__ import annotations

import pytest

from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily, SandboxError, SandboxKind
from lambent.environments.sandbox.waiting_process import waiting_argv


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
