"""May this invocation run at all? State, then trace; authorisation, recursion and size join here as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.invocation.recursion import RecursionGuard
from lambent.model.errors import InvalidParameterValueError, NotImplementedHereError, ResourceConflictError
from lambent.model.function import FunctionState
from lambent.model.invocation import Invocation

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.clock import Clock
    from lambent.model.function import FunctionVersion
    from lambent.model.invocation import InvokeRequest


class Admission:
    """Turns a request and its version into an Invocation. Keeps no state."""

    def __init__(
        self,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        on_inactive: Callable[[FunctionVersion], None] = lambda _: None,
        guard: RecursionGuard | None = None,
    ) -> None:
        """`on_inactive(version)` is told of an invocation that found its function asleep."""
        self._clock = clock
        self._on_inactive = on_inactive
        self._random_bytes = random_bytes
        self._guard = guard or RecursionGuard()

    def admit(self, request: InvokeRequest, version: FunctionVersion) -> Invocation:
        """Return the invocation.

        Raises:
            RecursiveInvocationError: the function has called itself 16 times in this chain (400).
            LambdaError: see `check`.
        """
        self.check(version)
        return Invocation(
            request_id=request.request_id,
            version=version,
            invoked_arn=str(request.function),
            payload=request.payload,
            trace_header=self._guard.next_header(self._trace_header(request.trace_header), request.function),
            wants_log_tail=request.wants_log_tail,
            client_context=request.client_context,
        )

    def check(self, version: FunctionVersion) -> None:
        """Do the checks that concern the function alone.

        Raises:
            ResourceConflictError: the function is Pending, Inactive or Failed (409).
            InvalidParameterValueError: its tenants are kept apart, and the request names none (400).
            NotImplementedHereError: it is durable (501).
        Source: recorded (lambda/test_lambda.json, state conflicts); observed for tenants.
        """
        if version.state is not FunctionState.ACTIVE:
            if version.state is FunctionState.INACTIVE:
                # Source: developer guide, function states: the first invocation is refused and wakes it.
                self._on_inactive(version)
            raise ResourceConflictError(
                "The operation cannot be performed at this time. "
                f"The function is currently in the following state: {version.state.value}"
            )
        if version.durable is not None:
            raise NotImplementedHereError("Durable functions are kept, but cannot be run here yet.")
        if version.tenant_isolation_mode is not None:
            # A request that names a tenant is refused at the door: environments for each are not there yet.
            raise InvalidParameterValueError(
                "The invoked function is enabled with tenancy configuration. "
                "Add a valid tenant ID in your request and try again."
            )

    def _trace_header(self, received: str | None) -> str:
        # Source: X-Ray developer guide, "Tracing header": Root=1-<epoch seconds, hex>-<96 bits, hex>.
        if received and "Root=" in received and len(received) <= 512 and received.isprintable():
            return received
        random = self._random_bytes(20).hex()
        return f"Root=1-{self._clock.time_ms() // 1000:08x}-{random[:24]};Parent={random[24:]};Sampled=0"
