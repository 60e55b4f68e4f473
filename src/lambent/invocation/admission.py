"""May this invocation run at all? State, then trace; authorisation, recursion and size join here as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.model.errors import InvalidParameterValueError, NotImplementedHereError, ResourceConflictError
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
            InvalidParameterValueError: its tenants are kept apart, and the request names none (400).
            NotImplementedHereError: it is made from a container image, or durable (501).
        Source: recorded (lambda/test_lambda.json, state conflicts); observed for tenants.
        """
        if version.state is not FunctionState.ACTIVE:
            raise ResourceConflictError(
                "The operation cannot be performed at this time. "
                f"The function is currently in the following state: {version.state.value}"
            )
        if version.package_type is PackageType.IMAGE:
            raise NotImplementedHereError("Functions made from container images are kept, but cannot be run here yet.")
        if version.durable is not None:
            raise NotImplementedHereError("Durable functions are kept, but cannot be run here yet.")
        if version.tenant_isolation_mode is not None:
            # A request that names a tenant is refused at the door: environments for each are not there yet.
            raise InvalidParameterValueError(
                "The invoked function is enabled with tenancy configuration. "
                "Add a valid tenant ID in your request and try again."
            )
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
