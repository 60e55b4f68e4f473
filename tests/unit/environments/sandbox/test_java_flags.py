"""How java is started."""

from __future__ import annotations

import pytest

from lambent.environments.sandbox.java_flags import java_command, waiting_java
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily


def _java(version: str) -> Interpreter:
    return Interpreter(RuntimeFamily.JAVA, f"/jvm/{version}/bin/java", version, (f"/jvm/{version}",))


def test_a_process_of_a_function() -> None:
    """The heap is 85 % of the memory; from Java 17 on the first compiler alone."""
    argv = java_command(_java("17.0.15"), 512, "/var/runtime")
    assert argv[0] == "/jvm/17.0.15/bin/java"
    assert argv[-3:] == ("-cp", "/var/runtime/lambent-runtime.jar", "lambent.runtime.Main")
    assert {"-XX:MaxHeapSize=445644k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"} < set(argv)
    assert "--add-opens=java.base/java.io=ALL-UNNAMED" in argv
    old = java_command(_java("8.0.402"), 128, "/var/runtime")
    assert not any(flag.startswith(("--add-opens", "-XX:TieredStopAtLevel", "-XX:+ErrorFile")) for flag in old)
    assert "-XX:TieredStopAtLevel=1" not in java_command(_java("11.0.2"), 128, "/var/runtime")


@pytest.mark.parametrize(
    ("options", "dropped"),
    [
        ("-XX:+UseG1GC", "-XX:+UseSerialGC"),
        ("-Xmx100m", "-XX:MaxHeapSize"),
        ("-XX:MaxRAMPercentage=50", "-XX:MaxHeapSize"),
        ("-XX:TieredStopAtLevel=4", "-XX:TieredStopAtLevel"),
        ("-XX:+TieredCompilation", "-XX:TieredStopAtLevel"),
        ("-Xshare:off", "-Xshare"),
        ("-Dfile.encoding=COMPAT", "-Dfile.encoding"),
        ("-Duser.language=de", "-Duser.language"),
    ],
)
def test_what_a_users_options_say_is_left_to_them(options: str, dropped: str) -> None:
    flags = java_command(_java("21.0.1"), 256, "/client")
    left = java_command(_java("21.0.1"), 256, "/client", options)
    assert [flag for flag in flags if flag not in left] == [flag for flag in flags if flag.startswith(dropped)]


def test_a_waiting_process() -> None:
    """It is started by a shell that makes room for variables, and waits."""
    argv = waiting_java(_java("25.0.0"), 128, "/client")
    assert argv[:2] == ("/bin/sh", "-c")
    assert argv[3:5] == ("sh", "/jvm/25.0.0/bin/java")
    assert argv[-1] == "wait"
    # What the launcher takes at most.
    assert len(argv) <= 32
    assert all(len(each) < 4_096 and each.isprintable() for each in argv)
