"""ExtensionHost: the extensions of one environment, from their start to their end."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from lambent.environments.extensions.api import ExtensionsApi, http_answer
from lambent.environments.extensions.records import compact, time_text
from lambent.environments.extensions.registry import ExtensionEvent, ExtensionRegistry, ExtensionState, RefusedError
from lambent.environments.extensions.subscriptions import Api, Category, parse_subscription
from lambent.environments.extensions.telemetry import Telemetry, subscription_record
from lambent.environments.outcomes import exit_words
from lambent.environments.session import ExtensionFailed
from lambent.model import quotas
from lambent.model.function import LogFormat

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Mapping

    from lambent.clock import Clock
    from lambent.environments.extensions.api import ExtensionConnection
    from lambent.environments.extensions.registry import Extension
    from lambent.environments.http_requests import InsideRequest
    from lambent.environments.log_writer import LogWriter
    from lambent.environments.sandbox.sandbox import RuntimeExit, Sandbox
    from lambent.environments.session import Outcome
    from lambent.model.invocation import Invocation
    from lambent.model.platform_event import EnvironmentReference

# How long freezing waits for telemetry to be delivered. AWS says nothing; see docs/extensions.md.
FLUSH_SECONDS_MAX = 1.0
_TYPE_WORDS = {Category.PLATFORM: "Platform", Category.FUNCTION: "Function", Category.EXTENSION: "Extension"}
_LAUNCH_ERROR = "Extension.LaunchError"


class HostParts(Struct, frozen=True):
    """What a host is handed by its environment.

    `log` has the function's lines and the platform's, `extension_log` those of extensions. `external` are the base
    names of the files in /opt/extensions. `spawn` owns background work.
    """

    sandbox: Sandbox
    reference: EnvironmentReference
    clock: Clock
    log: LogWriter
    extension_log: LogWriter
    external: tuple[str, ...]
    spawn: Callable[[Coroutine[None, None, None]], None]


class ExtensionHost:
    """Starts, feeds and ends extensions. Scope: environment. Nothing of it outlives the sandbox.

    `on_changed` is called when an extension may have become idle, `on_failed` when one ended the environment's
    current phase. Registration is closed from the beginning if not `is_open`.
    """

    def __init__(
        self,
        parts: HostParts,
        on_changed: Callable[[], None],
        on_failed: Callable[[Outcome], None],
        *,
        is_open: bool,
    ) -> None:
        self._parts = parts
        self._on_changed = on_changed
        self._on_failed = on_failed
        version = parts.reference.version
        self.external = parts.external
        self.telemetry = Telemetry(self, has_json_logs=version.logging.log_format is LogFormat.JSON)
        self._registry = ExtensionRegistry(parts.reference.environment_id)
        self._registry.begin(parts.external)
        self._registry.is_open = is_open
        if not is_open:
            self.telemetry.close_subscriptions()
        self._api = ExtensionsApi(self._registry, version, self)
        self._log = parts.extension_log
        self._log.begin_invocation(wants_tail=False)
        self._log.tap = lambda lines: self.telemetry.output(parts.clock.time_ms(), Category.EXTENSION, lines)
        parts.log.tap = lambda lines: self.telemetry.output(parts.clock.time_ms(), Category.FUNCTION, lines)
        self._log_fd = -1
        self._failed: Outcome | None = None
        self._gate: tuple[Callable[[], bool], asyncio.Future[Outcome | None]] | None = None
        self._running: dict[str, asyncio.Event] = {}
        self._is_ending = False
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._flush_until_ns = 0

    # From inside.

    def answer(self, connection: ExtensionConnection, request: InsideRequest) -> bool:
        """Answer a request of an extension; False when it is for none of the three APIs."""
        is_answered = self._api.answer(connection, request)
        self._changed()
        return is_answered

    def subscribe(self, target: str, name: str, body: bytes) -> bool:
        """Subscribe an extension to telemetry; False when `target` is neither API. Raises RefusedError."""
        if target not in tuple(Api):
            return False
        api = Api(target)
        word = "Telemetry" if api is Api.TELEMETRY else "Logs"
        if not self.telemetry.is_open:
            raise RefusedError(f"{word}.SubscriptionClosed", f"{word} API subscription is closed already")
        subscription = parse_subscription(api, name, body)
        known = self.telemetry.find(name)
        if known is not None and known.subscription.api is not api:
            raise RefusedError("ValidationError", "the extension subscribed by the other API already", 400)
        state = "Subscribed" if known is None else "Already subscribed"
        if known is None:
            self._parts.spawn(self.telemetry.subscribe(subscription).run())
        kind = "platform.telemetrySubscription" if api is Api.TELEMETRY else "platform.logsSubscription"
        words = ", ".join(_TYPE_WORDS[each] for each in subscription.categories)
        record = subscription_record(subscription, state)
        text = f"{word.upper()}\tName: {name}\tState: {state}\tTypes: [{words}]\n"
        self._parts.log.platform(text, kind, json.loads(record))
        self.telemetry.platform(self._parts.clock.time_ms(), kind, record)
        return True

    # Init.

    def begin(self) -> None:
        """A new Init after a reset: everybody is gone."""
        self._registry.begin(self.external)
        self.telemetry.begin()
        self._failed = None
        self._gate = None
        self._running = {}
        self._is_ending = False
        self._thawed.set()

    async def launch(self, variables: Mapping[str, str]) -> Outcome | None:
        """Start the external extensions and return None once all have registered, or what ended that.

        Raises:
            SandboxError: the sandbox failed.
        """
        sandbox = self._parts.sandbox
        for count, name in enumerate(self.external):
            reason: str | None = None
            code = 0
            if count >= quotas.EXTENSIONS.value:
                reason = "ErrTooManyExtensions"
            else:
                self._running[name] = asyncio.Event()
                code = await sandbox.start_extension(name, variables, self._process_ended)
                if code:
                    reason = f"fork/exec /opt/extensions/{name}: {os.strerror(code).lower()}"
            self._read_from(sandbox.extension_log_fd)
            if reason is not None:
                self._launch_failed(name, reason, code)
                return self._failed
            if self._failed is not None:
                return self._failed
        return await self._wait(self._are_registered)

    async def wait_ready(self) -> Outcome | None:
        """Close the registration and return None once every extension waits for its first event."""
        self._registry.is_open = False
        return await self._wait(self._are_ready)

    def init_ended(self) -> None:
        """Write the EXTENSION lines. No subscription is taken any more if Init went well."""
        at_ms = self._parts.clock.time_ms()
        for extension in self._registry:
            self._write_extension(extension, at_ms)
        if self._failed is None:
            self.telemetry.close_subscriptions()

    def fail(self, outcome: Outcome) -> None:
        """Somebody else ended the phase (a time-out, the runtime): nobody need wait for extensions."""
        self._failed = self._failed or outcome
        self._open_gate(self._failed)

    # Invoke.

    @property
    def failed(self) -> Outcome | None:
        """What ended the present phase, if anything did."""
        return self._failed

    @property
    def is_idle(self) -> bool:
        """Whether every extension waits for its next event."""
        return not any(extension.is_busy for extension in self._registry)

    @property
    def names(self) -> tuple[str, ...]:
        """Who has registered or is expected to."""
        return tuple(extension.name for extension in self._registry)

    async def wait_idle(self, seconds_max: float) -> None:
        """Return when every extension is idle, or one failed, or time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds_max):
                await self._wait(lambda: self.is_idle)
        self._gate = None

    def invoke(self, invocation: Invocation, deadline_ms: int) -> None:
        """Tell those that registered for INVOKE. `deadline_ms` is Unix epoch."""
        self._log.begin_invocation(wants_tail=False)
        if not self._registry.subscribers(ExtensionEvent.INVOKE):
            return
        event = {
            "eventType": ExtensionEvent.INVOKE,
            "deadlineMs": deadline_ms,
            "requestId": invocation.request_id,
            "invokedFunctionArn": str(invocation.invoked_arn),
        }
        tracing = {"type": "X-Amzn-Trace-Id", "value": invocation.trace_header}
        self._tell(ExtensionEvent.INVOKE, event | ({"tracing": tracing} if invocation.trace_header else {}))

    # Freeze, thaw, end.

    def is_flushed(self) -> bool:
        """Whether the environment may be frozen: telemetry was delivered, or was waited for long enough."""
        self.telemetry.catch_up()
        subscribers = self.telemetry.subscribers
        if all(subscriber.is_empty for subscriber in subscribers):
            self._flush_until_ns = 0
            return True
        now_ns = self._parts.clock.monotonic_ns()
        if not self._flush_until_ns:
            self._flush_until_ns = now_ns + int(FLUSH_SECONDS_MAX * 1e9)
        for subscriber in subscribers:
            subscriber.cut()
        return now_ns > self._flush_until_ns

    def frozen(self, *, is_frozen: bool) -> None:
        """The processes inside were stopped, or run again."""
        self._flush_until_ns = 0
        if is_frozen:
            self._thawed.clear()
        else:
            self._thawed.set()

    @property
    def has_external(self) -> bool:
        """Whether a process of an extension runs."""
        return any(not ended.is_set() for ended in self._running.values())

    @property
    def is_empty(self) -> bool:
        """Whether there is no extension at all."""
        return not len(self._registry)

    def ending(self) -> None:
        """Whatever ends from now on ends as it should."""
        self._is_ending = True
        self.telemetry.catch_up()
        for subscriber in self.telemetry.subscribers:
            subscriber.cut()

    async def shut_down(self, reason: str, deadline_ms: int, seconds_max: float) -> None:
        """Tell SHUTDOWN to those that registered for it, and return when their processes ended or time is over."""
        self._tell(
            ExtensionEvent.SHUTDOWN,
            {"eventType": ExtensionEvent.SHUTDOWN, "deadlineMs": deadline_ms, "shutdownReason": reason},
        )
        told = [each.name for each in self._registry.subscribers(ExtensionEvent.SHUTDOWN)]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds_max):
                for name in told:
                    if name in self._running:
                        await self._running[name].wait()

    def end(self) -> None:
        """The processes are about to be killed: read what they said last and stop delivering."""
        self._is_ending = True
        if self._log_fd >= 0:
            asyncio.get_running_loop().remove_reader(self._log_fd)
            self._log.drain(self._log_fd)
            self._log.end_invocation()
            self._log_fd = -1
        self.telemetry.end()
        for ended in self._running.values():
            ended.set()

    # Network, as subscribers need it.

    async def wait_running(self) -> None:
        """Return when the processes inside run."""
        await self._thawed.wait()

    async def make_socket(self) -> socket.socket:
        """Return an unconnected TCP socket of the sandbox's network. Raises SandboxError."""
        return await self._parts.sandbox.make_socket()

    def now_text(self) -> str:
        """Return the time as records say it."""
        return time_text(self._parts.clock.time_ms())

    # Inner workings.

    def _tell(self, event: ExtensionEvent, body: Mapping[str, object]) -> None:
        data = json.dumps(body, separators=(",", ":")).encode()
        for extension in self._registry.subscribers(event):
            identifier = self._registry.event_identifier()
            headers = f"Lambda-Extension-Event-Identifier: {identifier}\r\n"
            extension.tell(http_answer(200, data, headers))

    async def _wait(self, is_met: Callable[[], bool]) -> Outcome | None:
        if self._failed is not None or is_met():
            return self._failed
        future: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
        self._gate = (is_met, future)
        return await future

    def _open_gate(self, outcome: Outcome | None) -> None:
        gate, self._gate = self._gate, None
        if gate is not None and not gate[1].done():
            gate[1].set_result(outcome)

    def _changed(self) -> None:
        if self._gate is not None:
            if self._gate[0]():
                self._open_gate(None)
        else:
            self._on_changed()

    def _are_registered(self) -> bool:
        return all(extension.state is not ExtensionState.STARTED for extension in self._registry)

    def _are_ready(self) -> bool:
        return all(extension.state is ExtensionState.READY for extension in self._registry)

    def _launch_failed(self, name: str, reason: str, code: int) -> None:
        extension = self._registry.find(name)
        extension.move(ExtensionState.LAUNCH_ERROR)
        if reason == "ErrTooManyExtensions":
            extension.error_type = "TooManyExtensions"
        else:
            extension.error_type = "PermissionDenied" if code in (errno.EACCES, errno.EPERM) else "UnknownError"
        self.fail(ExtensionFailed(_LAUNCH_ERROR, reason))

    def _process_ended(self, name: str, ended: RuntimeExit) -> None:
        self._running[name].set()
        if self._log_fd >= 0:
            self._log.drain(self._log_fd)
        extension = self._registry.find(name)
        state = extension.state
        if self._is_ending or ended.is_out_of_memory:
            # Out of memory, all that ran inside was killed: the runtime's own end says why.
            return
        error_types = {
            ExtensionState.INIT_ERROR: "Extension.InitError",
            ExtensionState.EXIT_ERROR: "Extension.ExitError",
        }
        outcome = ExtensionFailed(error_types.get(state, "Extension.Crash"), exit_words(ended))
        if state not in error_types:
            extension.move(ExtensionState.EXITED)
        if self._failed is None:
            self.fail(outcome)
            self._on_failed(outcome)

    def _write_extension(self, extension: Extension, at_ms: int) -> None:
        events = [event.value for event in extension.events]
        text = f"EXTENSION\tName: {extension.name}\tState: {extension.state}\tEvents: [{', '.join(events)}]"
        record: dict[str, object] = {"name": extension.name, "state": extension.state, "events": events}
        if extension.error_type:
            text += f"\tError Type: {extension.error_type}"
            record["errorType"] = extension.error_type
        level = "INFO" if extension.state is ExtensionState.READY else "WARN"
        self._parts.log.platform(text + "\n", "platform.extension", record, level)
        self.telemetry.platform(at_ms, "platform.extension", compact(record))

    def _read_from(self, log_fd: int) -> None:
        if self._log_fd < 0 <= log_fd:
            self._log_fd = log_fd
            asyncio.get_running_loop().add_reader(log_fd, self._log_readable)

    def _log_readable(self) -> None:
        if not self._log.drain(self._log_fd):
            asyncio.get_running_loop().remove_reader(self._log_fd)
