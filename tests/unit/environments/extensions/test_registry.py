"""Who is registered, what each may do next, and the events they are given."""

from __future__ import annotations

import random

import pytest

from lambent.environments.extensions.registry import (
    TRANSITIONS,
    Extension,
    ExtensionEvent,
    ExtensionRegistry,
    ExtensionState,
    RefusedError,
)

ENVIRONMENT = "0123456789abcdef0123456789abcdef"


class Connection:
    def __init__(self) -> None:
        self.is_open = True
        self.sent: list[bytes] = []

    def send_invocation(self, message: bytes) -> None:
        self.sent.append(message)


def registry(*external: str) -> ExtensionRegistry:
    made = ExtensionRegistry(ENVIRONMENT)
    made.begin(external)
    return made


def refused(error: pytest.ExceptionInfo[RefusedError]) -> tuple[str, str]:
    return error.value.error_type, str(error.value)


def test_external_ones_are_known_before_they_register() -> None:
    one = registry("watcher")
    assert one.find("watcher").state is ExtensionState.STARTED
    extension = one.register("watcher", ["SHUTDOWN", "INVOKE", "INVOKE"])
    assert extension.is_external
    assert extension.events == (ExtensionEvent.SHUTDOWN, ExtensionEvent.INVOKE)
    assert one.identified(extension.identifier, "?") is extension


def test_identifiers_are_new_after_each_reset() -> None:
    one = registry("watcher")
    before = one.find("watcher").identifier
    one.begin(["watcher"])
    assert one.find("watcher").identifier != before
    with pytest.raises(RefusedError) as error:
        one.identified(before, "Unknown extension")
    assert refused(error) == ("Extension.UnknownExtensionIdentifier", "Unknown extension")


def test_internal_ones_may_not_shut_down() -> None:
    with pytest.raises(RefusedError) as error:
        registry().register("inside", ["SHUTDOWN"])
    assert refused(error) == (
        "Extension.InvalidEventType",
        "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension",
    )


def test_ten_and_not_one_more() -> None:
    one = registry()
    for number in range(10):
        one.register(f"e{number}", [])
    with pytest.raises(RefusedError) as error:
        one.register("e10", [])
    assert refused(error) == ("Extension.TooManyExtensions", "Extension limit (10) reached")


def test_a_name_is_taken_once_and_not_after_init() -> None:
    one = registry()
    one.register("inside", [])
    with pytest.raises(RefusedError) as error:
        one.register("inside", [])
    assert refused(error)[0] == "Extension.InvalidExtensionState"
    one.is_open = False
    with pytest.raises(RefusedError) as error:
        one.register("late", [])
    assert refused(error) == ("Extension.RegistrationClosed", "Extension registration closed already")


def test_an_event_reaches_who_waits_and_who_comes_later() -> None:
    extension, first, second = Extension("e", "id", is_external=True), Connection(), Connection()
    extension.move(ExtensionState.REGISTERED)
    extension.ask(first)
    extension.tell(b"one")
    assert (first.sent, extension.state, extension.is_busy) == ([b"one"], ExtensionState.RUNNING, True)
    extension.tell(b"two")
    extension.ask(second)
    assert (second.sent, extension.state) == ([b"two"], ExtensionState.RUNNING)
    extension.ask(first)
    assert not extension.is_busy


def test_a_lost_connection_may_ask_again() -> None:
    extension, first, second = Extension("e", "id", is_external=True), Connection(), Connection()
    extension.move(ExtensionState.REGISTERED)
    extension.ask(first)
    with pytest.raises(RefusedError):
        extension.ask(second)
    first.is_open = False
    extension.tell(b"one")
    assert (first.sent, extension.is_busy) == ([], True)


def test_random_moves_follow_the_table() -> None:
    draw = random.Random(1)
    states = list(ExtensionState)
    for _ in range(500):
        extension = Extension("e", "id", is_external=True)
        for _ in range(8):
            before, wanted = extension.state, draw.choice(states)
            if wanted in TRANSITIONS[before]:
                extension.move(wanted)
                assert extension.state is wanted
            else:
                with pytest.raises(RefusedError, match=f"from {before.value} to {wanted.value} failed"):
                    extension.move(wanted)
                assert extension.state is before
