"""May this invocation run at all? State, then trace; authorisation, recursion and size join here as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.model.errors import NotImplementedHereError, ResourceConflictError
from lambent.model.function import FunctionState, PackageType
from lambent.model.invocation import Invocation

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.clock import Clock
    from lambent.model.function import FunctionVersion
    from lambent.model.invocation import InvokeRequest


class Admission:
    """Turns a request and its version into an Invocation. Keeps no state."""

    def __init__(self, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._random_bytes = random_bytes

    def admit(self, request: InvokeRequest, version: FunctionVersion) -> Invocation:
        """Return the invocation.

        Raises:
            ResourceConflictError: the function is Pending, Inactive or Failed (409).
            NotImplementedHereError: it is made from a container image (501).
        Source: recorded (lambda/test_lambda.json, state conflicts).
        """
        if version.state is not FunctionState.ACTIVE:
            raise ResourceConflictError(
                "The operation cannot be performed at this time. "
                f"The function is currently in the following state: {version.state.value}"
            )
        if version.package_type is PackageType.IMAGE:
            raise NotImplementedHereError("Functions made from container images are kept, but cannot be run here yet.")
        return Invocation(
            request_id=request.request_id,
            version=version,
            invoked_arn=str(request.function),
            payload=request.payload,
            trace_header=self._trace_header(request.trace_header),
            wants_log_tail=request.wants_log_tail,
            client_context=request.client_context,
        )

    def _trace_header(self, received: str | None) -> str:
        # Source: X-Ray developer guide, "Tracing header": Root=1-<epoch seconds, hex>-<96 bits, hex>.
        if received and "Root=" in received and len(received) <= 512 and received.isprintable():
            return received
        random = self._random_bytes(20).hex()
        return f"Root=1-{self._clock.time_ms() // 1000:08x}-{random[:24]};Parent={random[24:]};Sampled=0"
