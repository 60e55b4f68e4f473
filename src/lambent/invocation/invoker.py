"""Start reading here: the life of an invocation, between the doors and the environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.environments.sandbox.sandbox import SandboxError
from lambent.invocation.streamed import StreamedInvocations
from lambent.model.concurrency import ConcurrencyPool
from lambent.model.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.environments import EnvironmentPool
    from lambent.invocation.admission import Admission
    from lambent.invocation.catalog import Catalog
    from lambent.invocation.concurrency import ConcurrencyLimiter
    from lambent.model.arn import FunctionArn
    from lambent.model.concurrency import ConcurrencyLease
    from lambent.model.function import FunctionVersion
    from lambent.model.invocation import Invocation, InvocationResult, InvokeRequest, ResponseBody

    OnStream = Callable[[InvocationResult], None]

# A call that no handler has seen may be tried on another environment; each try has failed for a reason of its own.
_TRIES = 3


class Invoker:
    """Runs invocations. Scope: node. Keeps no state of its own but the tasks of streamed ones."""

    def __init__(
        self, catalog: Catalog, admission: Admission, concurrency: ConcurrencyLimiter, environments: EnvironmentPool
    ) -> None:
        self._catalog = catalog
        self._admission = admission
        self._concurrency = concurrency
        self._environments = environments
        self._streamed = StreamedInvocations(self.run)

    async def run_streamed(self) -> None:
        """Own the tasks of streamed invocations. Runs until cancelled; never raises."""
        await self._streamed.run()

    def invoke(self, request: InvokeRequest) -> InvocationBlock:
        """Return a context that runs the invocation on entering and yields its InvocationResult.

        The entering task must not be cancelled: a function runs on when its client went away. A request that wants
        a stream yields its result when the function begins to respond, and runs in a task of its own: that one may be
        left at any time.

        Entering raises:
            ResourceNotFoundError, ResourceConflictError, TooManyRequestsError: see catalog, admission, concurrency.
            ServiceError: the environment was lost (500); the text says whether the function had begun.
        """
        return InvocationBlock(self, request)

    async def run(self, request: InvokeRequest, on_stream: OnStream | None = None) -> InvocationResult:
        """Run one invocation to its answer: the six steps of ARCHITECTURE.md. Raises as `invoke`."""
        version = self._catalog.resolve(request.function)
        invocation = self._admission.admit(request, version)
        async with self._concurrency.lease(version) as lease:
            return await self._run(invocation, lease, on_stream)

    async def begin(self, request: InvokeRequest) -> InvocationResult:
        """Run an invocation in a task of its own; return when its response begins or it is over. Raises as `invoke`."""
        return await self._streamed.begin(request)

    def check(self, request: InvokeRequest) -> FunctionVersion:
        """Return the version that would run, after the checks that an invocation passes (InvocationType=DryRun)."""
        version = self._catalog.resolve(request.function)
        self._admission.admit(request, version)
        return version

    def check_event(self, function: FunctionArn) -> None:
        """Do the checks that an event passes when it is taken. Raises as `invoke`.

        Who calls whom in a loop is looked at when it runs: its event ends at a destination.
        """
        self._admission.check(self._catalog.resolve(function))

    async def _run(
        self, invocation: Invocation, lease: ConcurrencyLease, on_stream: OnStream | None
    ) -> InvocationResult:
        failure: SandboxError | None = None
        for _ in range(_TRIES):
            try:
                environment = await self._environments.acquire(
                    invocation.version, is_provisioned=lease.pool is ConcurrencyPool.PROVISIONED
                )
                return await environment.invoke(invocation, lease, on_stream)
            except SandboxError as error:
                if error.is_started:
                    raise ServiceError(
                        f"The execution environment was lost while the function was running: {error}"
                    ) from error
                failure = error
        raise ServiceError(f"No execution environment could be made: {failure}") from failure


class InvocationBlock:
    """The context of `Invoker.invoke`. The result's body is valid inside the block."""

    __slots__ = ("_invoker", "_request", "_stream")

    def __init__(self, invoker: Invoker, request: InvokeRequest) -> None:
        self._invoker = invoker
        self._request = request
        self._stream: ResponseBody | None = None

    async def __aenter__(self) -> InvocationResult:
        if not self._request.wants_stream:
            return await self._invoker.run(self._request)
        result = await self._invoker.begin(self._request)
        self._stream = result.stream
        return result

    async def __aexit__(self, *exc_info: object) -> None:
        if self._stream is not None:
            self._stream.abandon()
