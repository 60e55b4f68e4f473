"""From a function version to a started environment: plan, sandbox, variables, specialisation."""

from __future__ import annotations

import os.path
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from lambent.environments.environment import EnvironmentStart, ExecutionEnvironment, Surroundings
from lambent.environments.extensions.files import external_extensions
from lambent.environments.log_writer import iso_time
from lambent.environments.runtimes.plan import RuntimePlan, Unavailable
from lambent.environments.sandbox.sandbox import SandboxError, Specialisation
from lambent.environments.variables import EnvironmentFacts, environment_variables, extension_variables
from lambent.model.environment import InitializationType
from lambent.model.errors import ServiceError
from lambent.model.platform_event import EnvironmentReference

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from lambent.clock import Clock
    from lambent.environments.door import EndpointDoor
    from lambent.environments.prewarm import PrewarmedSandboxes
    from lambent.environments.sandbox.sandbox import Sandbox
    from lambent.model.caller import Credentials
    from lambent.model.function import FunctionVersion

_SANDBOX_TRIES = 6


class FactoryParts(Struct, frozen=True):
    """What a factory works with, all given by app.py.

    `plan` chooses runtime and sandbox kind; `code_directory` is the unpacked package's path relative to the data
    directory, `layers_directory` that of what is /opt, None for an empty one; `credentials_for` issues the execution
    role's credentials; `random_bytes(n)` is the source of ids; `endpoint`, if given, answers AWS_ENDPOINT_URL inside;
    `make_ready`, if given, has a version's packages on this node, whoever took them in. `environment_of`, if given,
    returns its variables, which may lie under a key that somebody else holds. `data_directory` is where relative paths
    begin. With `has_aws_names` AWS's names lead to us inside, but in roots of images.
    """

    plan: Callable[[FunctionVersion], RuntimePlan | Unavailable]
    code_directory: Callable[[FunctionVersion], str]
    layers_directory: Callable[[FunctionVersion], str | None]
    credentials_for: Callable[[FunctionVersion], Credentials]
    random_bytes: Callable[[int], bytes]
    endpoint: EndpointDoor | None = None
    make_ready: Callable[[FunctionVersion], Awaitable[None]] | None = None
    environment_of: Callable[[FunctionVersion], Awaitable[Mapping[str, str]]] | None = None
    data_directory: Path = Path()
    has_aws_names: bool = False


class EnvironmentFactory:
    """Makes environments. Scope: node; keeps nothing but its parts."""

    def __init__(self, parts: FactoryParts, prewarmed: PrewarmedSandboxes, clock: Clock) -> None:
        self._parts = parts
        self._prewarmed = prewarmed
        self._clock = clock

    def unavailable_reason(self, version: FunctionVersion) -> str | None:
        """Return why this machine cannot run the version and what to install, or None; starts prewarming if it can."""
        plan = self._parts.plan(version)
        if isinstance(plan, Unavailable):
            return plan.reason
        self._prewarmed.want(plan.kind)
        return None

    async def create(
        self,
        version: FunctionVersion,
        around: Surroundings,
        initialization_type: InitializationType = InitializationType.ON_DEMAND,
    ) -> ExecutionEnvironment:
        """Return an environment whose runtime was started (Init is under way).

        Raises:
            SandboxError: no sandbox could be made; nothing of the customer's ran.
            ServiceError: no interpreter for the runtime, or no package, is on this machine any more.
            LambdaError: its variables cannot be decrypted (KMSDisabledException and the like).
        """
        asked_ns = self._clock.monotonic_ns()
        if self._parts.make_ready is not None:
            await self._parts.make_ready(version)
        if self._parts.environment_of is not None:
            version = replace(version, environment=await self._parts.environment_of(version))
        plan = self._parts.plan(version)
        if isinstance(plan, Unavailable):
            raise ServiceError(plan.reason)
        reference = self._reference(version, initialization_type)
        extensions = self._extensions(version, plan)
        ready_ns = self._clock.monotonic_ns()
        failure = SandboxError("no sandbox")
        # A waiting sandbox may have died with its supervisor; its successor is tried, then a new one.
        for _ in range(_SANDBOX_TRIES):
            sandbox = await self._prewarmed.take(plan.kind)
            start = EnvironmentStart(
                runtime=(plan.runtime_version, version.runtime_version_arn or ""),
                notice=plan.notice,
                extensions=extensions,
                variables=partial(self._variables, version, plan, sandbox, reference),
            )
            environment = ExecutionEnvironment(sandbox, reference, start, around)
            taken_ns = self._clock.monotonic_ns()
            try:
                await environment.open_door(self._parts.endpoint)
                environment.init_started()
                await sandbox.specialise(self._specialisation(version, plan, start))
            except SandboxError as error:
                failure = error
                await environment.discard()
                continue
            environment.note_part("sandbox", ready_ns, taken_ns - ready_ns)
            code_ns = self._clock.monotonic_ns() - taken_ns + ready_ns - asked_ns
            environment.note_part("code", taken_ns, code_ns)
            if not extensions:
                # It was told to begin together with its code; what waits in the pool runs already.
                environment.note_part("runtime", self._clock.monotonic_ns(), 0)
            return environment
        raise failure

    def _extensions(self, version: FunctionVersion, plan: RuntimePlan) -> tuple[str, ...]:
        directory = self._parts.data_directory
        layers = self._parts.layers_directory(version)
        if layers is not None:
            return external_extensions((directory / layers,))
        if plan.root is None:
            return ()
        return external_extensions(directory / "images" / "layers" / name / "tree" / "opt" for name in plan.root.layers)

    def _specialisation(self, version: FunctionVersion, plan: RuntimePlan, start: EnvironmentStart) -> Specialisation:
        return Specialisation(
            code_directory=self._parts.code_directory(version) if version.code.sha256 else None,
            layers_directory=self._parts.layers_directory(version),
            memory_mib=version.memory_mib,
            ephemeral_storage_mib=version.ephemeral_storage_mib,
            variables=start.variables()[0],
            argv=plan.argv,
            root=plan.root,
            extensions=start.extensions,
        )

    def _variables(
        self, version: FunctionVersion, plan: RuntimePlan, sandbox: Sandbox, reference: EnvironmentReference
    ) -> tuple[dict[str, str], dict[str, str]]:
        interpreter = plan.kind.interpreter
        facts = EnvironmentFacts(
            runtime_api=sandbox.runtime_api_address,
            endpoint=sandbox.endpoint_address,
            log_stream=reference.log_stream,
            initialization_type=reference.initialization_type,
            credentials=self._parts.credentials_for(version),
            runtime_variables=plan.variables,
            interpreter_directory=os.path.dirname(interpreter.executable) if interpreter is not None else None,
            is_rooted=plan.root is not None,
            has_aws_names=self._parts.has_aws_names and plan.root is None,
        )
        variables = environment_variables(version, facts)
        return variables, extension_variables(variables, facts)

    def _reference(self, version: FunctionVersion, initialization_type: InitializationType) -> EnvironmentReference:
        environment_id = self._parts.random_bytes(16).hex()
        day = iso_time(self._clock.time_ms())[:10].replace("-", "/")
        log_stream = f"{day}/[{version.version}]{environment_id}"
        return EnvironmentReference(environment_id, version, log_stream, initialization_type)
