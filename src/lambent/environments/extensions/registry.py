"""Who has registered as an extension, and what each of them is doing: pure, no I/O.

Theory. An extension that came as a file of /opt/extensions is external: the platform starts it, so its name is known
before it registers. Whoever registers under another name is internal: it runs inside the runtime's process.

    Started      an external one was started and has not registered
    Registered   registered, has not asked for its first event
    Ready        waits in event/next; may be frozen
    Running      was given an event and has not asked for the next
    InitError    has reported init/error; its process is expected to end
    ExitError    has reported exit/error; its process is expected to end
    LaunchError  could not be started
    Exited       its process ended

A missing entry IS an illegal transition and is answered with Extension.InvalidExtensionState.
Source: developer guide, "Lambda Extensions API"; states, limits and texts of AWS's runtime interface emulator.
"""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from lambent.model import quotas

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class ExtensionState(StrEnum):
    """What an extension is doing, in the words of the EXTENSION log line."""

    STARTED = "Started"
    REGISTERED = "Registered"
    READY = "Ready"
    RUNNING = "Running"
    INIT_ERROR = "InitError"
    EXIT_ERROR = "ExitError"
    LAUNCH_ERROR = "LaunchError"
    EXITED = "Exited"


class ExtensionEvent(StrEnum):
    """What it can be told of."""

    INVOKE = "INVOKE"
    SHUTDOWN = "SHUTDOWN"


_S = ExtensionState

# From → where it may go. What is told in INIT_ERROR and EXIT_ERROR again changes nothing: the first report counts.
TRANSITIONS: dict[ExtensionState, frozenset[ExtensionState]] = {
    _S.STARTED: frozenset({_S.REGISTERED, _S.LAUNCH_ERROR, _S.EXITED}),
    _S.REGISTERED: frozenset({_S.READY, _S.INIT_ERROR, _S.EXIT_ERROR, _S.EXITED}),
    _S.READY: frozenset({_S.RUNNING, _S.EXIT_ERROR, _S.EXITED}),
    _S.RUNNING: frozenset({_S.READY, _S.EXIT_ERROR, _S.EXITED}),
    _S.INIT_ERROR: frozenset({_S.INIT_ERROR}),
    _S.EXIT_ERROR: frozenset({_S.EXIT_ERROR}),
    _S.LAUNCH_ERROR: frozenset(),
    _S.EXITED: frozenset(),
}


class RefusedError(Exception):
    """A request from inside that is refused; `error_type` is AWS's, the text is errorMessage."""

    def __init__(self, error_type: str, text: str, status: int = 403) -> None:
        super().__init__(text)
        self.error_type = error_type
        self.status = status


class EventConnection(Protocol):
    """A connection on which event/next waits."""

    @property
    def is_open(self) -> bool:
        """Whether its other end can still be written to."""

    def send_invocation(self, message: bytes) -> None:
        """Write the HTTP answer of event/next and go on with what was pipelined behind it."""


class Extension:
    """One extension of one environment. Scope: one run of Init to the next reset."""

    __slots__ = ("_message", "_waiting", "error_type", "events", "identifier", "is_external", "name", "state")

    def __init__(self, name: str, identifier: str, *, is_external: bool) -> None:
        self.name = name
        self.identifier = identifier
        self.is_external = is_external
        self.state = ExtensionState.STARTED
        self.events: tuple[ExtensionEvent, ...] = ()
        self.error_type = ""
        self._waiting: EventConnection | None = None
        self._message: bytes | None = None

    def move(self, state: ExtensionState, wanted: str = "") -> None:
        """Go to another state. `wanted` is how the refusal calls it, if not by its own name. Raises RefusedError."""
        if state not in TRANSITIONS[self.state]:
            who = self.identifier if self.state is not ExtensionState.STARTED else self.name
            raise RefusedError(
                "Extension.InvalidExtensionState",
                f"State transition from {self.state.value} to {wanted or state.value} failed for extension {who}. "
                "Error: State transition is not allowed",
            )
        self.state = state

    def ask(self, connection: EventConnection) -> None:
        """It asks for its next event. Raises RefusedError."""
        lost = self.state is ExtensionState.READY and self._waiting is not None and not self._waiting.is_open
        if not lost:
            self.move(ExtensionState.READY)
        if self._message is not None:
            message, self._message = self._message, None
            self.state = ExtensionState.RUNNING
            connection.send_invocation(message)
        else:
            self._waiting = connection

    def tell(self, message: bytes) -> None:
        """Give it an event: at once if it waits, else when it asks. `message` is the whole HTTP answer."""
        waiting, self._waiting = self._waiting, None
        if self.state is ExtensionState.READY and waiting is not None and waiting.is_open:
            self.state = ExtensionState.RUNNING
            waiting.send_invocation(message)
        else:
            self._message = message

    @property
    def is_busy(self) -> bool:
        """Whether it was given an event, or is about to be, and has not come back."""
        return self.state is ExtensionState.RUNNING or self._message is not None


class ExtensionRegistry:
    """The extensions of one environment. Scope: environment; `begin` forgets all of them, for a reset kills them."""

    def __init__(self, environment_id: str) -> None:
        self._namespace = uuid.UUID(environment_id)
        self._generation = 0
        self._events = 0
        self._by_name: dict[str, Extension] = {}
        self.is_open = True

    def begin(self, external: Iterable[str]) -> None:
        """A new Init: the external ones of these names are about to be started, others may register."""
        self._generation += 1
        self._by_name = {name: self._new(name, is_external=True) for name in external}
        self.is_open = True

    def __iter__(self) -> Iterator[Extension]:
        return iter(tuple(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    def find(self, name: str) -> Extension:
        """Return the extension of a name that is known."""
        return self._by_name[name]

    def identified(self, identifier: str, text: str) -> Extension:
        """Return the extension of an identifier. Raises RefusedError with `text`."""
        for extension in self._by_name.values():
            if extension.identifier == identifier:
                return extension
        raise RefusedError("Extension.UnknownExtensionIdentifier", text)

    def register(self, name: str, wanted: Sequence[str]) -> Extension:
        """Register an extension for events. Raises RefusedError."""
        known = self._by_name.get(name)
        is_external = known is not None and known.is_external
        for event in wanted:
            if event not in tuple(ExtensionEvent):
                raise RefusedError("Extension.InvalidEventType", f"{event}: ErrorInvalidEventType")
            if event == ExtensionEvent.SHUTDOWN and not is_external:
                text = f"{event}: ShutdownEventNotSupportedForInternalExtension"
                raise RefusedError("Extension.InvalidEventType", text)
        if known is None or not is_external:
            known = self._admit(name)
        known.move(ExtensionState.REGISTERED)
        known.events = tuple(ExtensionEvent(event) for event in dict.fromkeys(wanted))
        return known

    def subscribers(self, event: ExtensionEvent) -> list[Extension]:
        """Return those that registered for an event."""
        return [extension for extension in self._by_name.values() if event in extension.events]

    def event_identifier(self) -> str:
        """Return a new Lambda-Extension-Event-Identifier."""
        self._events += 1
        return str(uuid.uuid5(self._namespace, f"event/{self._events}"))

    def _admit(self, name: str) -> Extension:
        if not self.is_open:
            raise RefusedError("Extension.RegistrationClosed", "Extension registration closed already")
        if len(self._by_name) >= quotas.EXTENSIONS.value:
            raise RefusedError("Extension.TooManyExtensions", f"Extension limit ({quotas.EXTENSIONS.value}) reached")
        if name in self._by_name:
            raise RefusedError("Extension.InvalidExtensionState", "Extension with this name already registered")
        self._by_name[name] = self._new(name, is_external=False)
        return self._by_name[name]

    def _new(self, name: str, *, is_external: bool) -> Extension:
        # Unique in the environment is enough: an identifier is good on this environment's own listener only.
        identifier = str(uuid.uuid5(self._namespace, f"{self._generation}/{name}"))
        return Extension(name, identifier, is_external=is_external)
