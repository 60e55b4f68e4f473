"""Builds every object once, in order, and starts the run() loops. The only file that knows everybody."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING

from lambent.api import ApiOptions, ApiParts, LocalRoute, build_server
from lambent.aws_names import AwsNames, InsideEndpoint
from lambent.clock import SystemClock
from lambent.durable import DurableExecutions
from lambent.environments import (
    EnvironmentFactory,
    EnvironmentPool,
    EnvironmentRules,
    FactoryParts,
    PackageFacts,
    PoolRules,
    PrewarmedSandboxes,
)
from lambent.environments.provisioning import ProvisionedEnvironments
from lambent.environments.runtimes import CatalogueOptions, RuntimeCatalogue
from lambent.environments.sandbox import NamespaceDriver, ProcessDriver
from lambent.environments.sandbox.sandbox import RuntimeFamily, SandboxError
from lambent.events import AsyncParts, AsyncPlane, AsyncRules, EventSourceParts, EventSources, SourcePlaces
from lambent.feed import ChangeFeed, FeedReaders
from lambent.functions import ControlPlane, ControlPlaneParts, ControlPlaneRules, Ec2Networks, KmsKeys, S3Packages
from lambent.gateways import FunctionUrls, FunctionUrlTable, Surroundings
from lambent.invocation import Admission, Catalog, ConcurrencyLimiter, Invoker, RecursionGuard, ResourcePolicies
from lambent.model.arn import parse_function_name
from lambent.model.environment import IsolationLevel
from lambent.model.errors import LambdaError
from lambent.neighbours import ChildPlan, EmbeddedChild, Endpoints, Forwarder, LogsEndpoint, unknown_names
from lambent.observability import FunctionMetrics, LogDelivery, LogStore, ObservabilityRoutes, Recorder
from lambent.preparation import Preparation, PreparationParts
from lambent.randomness import RandomBytes
from lambent.routes import answer_route, code_route, event_routes, health_route, image_route, status_route, url_hosts
from lambent.startup import StartError, architecture, embedded_packages, lambent_version, runtime_findings
from lambent.store import AccessKeys, CodeStore, FunctionStore, InstallationKey, Resources, open_records
from lambent.store.contracts import StoreUnusableError
from lambent.store.events import EventStore, open_events
from lambent.store.queues.contracts import QueueBounds
from lambent.wire.client import OutwardClient
from lambent.wire.http_client import ClientRules, HttpClient
from lambent.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambent.environments.sandbox.sandbox import SandboxDriver
    from lambent.model.caller import Credentials
    from lambent.model.function import FunctionVersion
    from lambent.served import Served
    from lambent.startup import PreparedProcess

_log = logging.getLogger(__name__)

_LEVELS = tuple(IsolationLevel)
_WORKERS = 2
_EMBEDDED_LINES_PER_SECOND_MAX = 1_000.0
# The last lines of the last invocations, on their way to CloudWatch Logs when the server ends.
_DELIVERY_SECONDS = 2.0
# The next upload pays half a second for a new process; an idle server keeps none of their memory.
_WORKERS_IDLE_SECONDS = 120.0


class Application:
    """One server: role `all`. Scope: node. After a crash: as committed; `startup` and the launcher sweep the rest."""

    def __init__(self, process: PreparedProcess) -> None:
        self.process = process
        self.settings = process.settings
        self.clock = SystemClock()
        self.random_bytes = RandomBytes()
        self.inside = InsideEndpoint(AwsNames(process.data_directory, self.clock, self.settings.network.amazonaws))
        self.is_ready = False
        self.address: tuple[str, int] | None = None
        self.namespace_refusal: str | None = None
        self._refusal: str | None = None
        self._stop = asyncio.Event()

    async def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Serve until `stop`, then drain and shut every environment down.

        Raises:
            StartError: something the settings ask for cannot be had here.
        """
        async with contextlib.AsyncExitStack() as stack:
            self.driver = await self._start_driver(stack)
            try:
                self._build()
            except StoreUnusableError as error:
                raise StartError(str(error)) from error
            stack.push_async_callback(self._close_state)
            await self._serve(on_ready)

    def stop(self) -> None:
        """Begin the orderly end: SIGTERM and SIGINT call this. Idempotent."""
        self._stop.set()

    def _build(self) -> None:
        process, settings, clock = self.process, self.settings, self.clock
        directory = process.data_directory
        self.workers = Workers(_WORKERS)
        key = InstallationKey.open(directory / "keys")
        self.keys = AccessKeys(directory / "keys", key, clock)
        self.records = open_records(
            directory,
            url=settings.store.url,
            key=key,
            blobs_directory=settings.store.blobs,
            has_others=settings.cluster.slice < 1,
        )
        self.resources = Resources(self.records, key)
        self.store = FunctionStore(self.resources)
        self.code = CodeStore(
            directory, self.workers, self.records.blobs, key=key, is_sealing=settings.encryption.at_rest
        )
        logs = LogStore(directory / "logs", settings.logs.bytes_max)
        metrics = FunctionMetrics()
        self._build_neighbours()
        self.recorder = Recorder(logs, metrics, self.delivery)
        self.observability = ObservabilityRoutes(logs, self.recorder, metrics, clock)
        self.packages = PackageFacts(lambda sha256: directory / self.code.directory(sha256))
        self._build_images()
        self.preparation = Preparation(
            PreparationParts(self.code, self.packages, self.images.make_ready, self.resources.wait_filled),
            self._unavailable_reason,
        )
        self.runtimes = RuntimeCatalogue(
            process.interpreters,
            CatalogueOptions(
                nearest=settings.runtimes.nearest,
                runs_foreign=settings.architectures.foreign == "run",
                architecture=architecture(),
                sdk=process.sdks if settings.runtimes.sdk else None,
                has_native_code=self.packages.has_native_code,
                has_libraries=self.packages.has_libraries,
                top_level_names=self.packages.sdk_names,
                image_root=self.images.root_of,
                runtime_root=self.images.runtime_root_of,
            ),
        )
        sizes = {
            RuntimeFamily.PYTHON: settings.pool.python,
            RuntimeFamily.NODEJS: settings.pool.nodejs,
            RuntimeFamily.RUBY: settings.pool.ruby,
            RuntimeFamily.JAVA: settings.pool.java,
            RuntimeFamily.EXEC: settings.pool.exec,
        }
        self.prewarmed = PrewarmedSandboxes(self.driver, sizes, clock)
        self.policies = ResourcePolicies()
        self.function_urls = FunctionUrlTable()
        self.catalog = Catalog()
        self._build_data_plane()
        self._build_queue(key)
        self._build_control_plane(key)
        self._build_triggering()
        self._build_served()
        self._build_door()
        self._build_feed()

    def _build_images(self) -> None:
        from lambent.images import FunctionView, ImagePlane, ImagePlaneOptions

        settings = self.settings
        self.image_workers = Workers(_WORKERS)
        self.images = ImagePlane(
            ImagePlaneOptions(
                directory=self.process.data_directory / "images",
                registries=settings.images.registries,
                credentials=settings.images.credentials,
                bytes_max=settings.images.bytes_max,
                inactive_seconds=settings.images.inactive_seconds,
                architecture=architecture(),
                runs_foreign=settings.architectures.foreign == "run",
                is_rooted=lambda: self.driver.level is not IsolationLevel.L0,
                is_merging=lambda: "overlay" in self.driver.missing_features,
                functions=FunctionView(lambda: self.catalog.versions(), self._code_in_use),
                host_runtimes=lambda: runtime_findings(self.runtimes),
            ),
            self.outward,
            self.image_workers,
            self.clock,
        )

    def _build_data_plane(self) -> None:
        settings, clock = self.settings, self.clock
        directory = self.process.data_directory
        parts = FactoryParts(
            make_ready=self.preparation.make_ready,
            environment_of=self.kms.environment,
            plan=self.runtimes.plan,
            code_directory=lambda version: self.code.directory(version.code.sha256),
            layers_directory=self.code.opt_directory,
            credentials_for=self._credentials_for,
            random_bytes=os.urandom,
            endpoint=self.inside,
            data_directory=directory,
            has_aws_names=self.inside.names.is_led is not None and self.driver.level is not IsolationLevel.L0,
        )
        self.factory = EnvironmentFactory(parts, self.prewarmed, clock)
        rules = PoolRules(
            settings.environments.idle_seconds_max,
            self.process.memory_mib_max,
            EnvironmentRules(
                init_seconds=settings.environments.init_seconds,
                shutdown_grace_ms=settings.environments.shutdown_grace_ms,
                log_bytes_per_invocation_max=settings.logs.bytes_max_per_invocation,
                is_init_billed=settings.billing.init_billed,
                streamed_response_bytes_max=settings.quotas.streamed_response_bytes,
            ),
        )
        self.pool = EnvironmentPool(self.factory, self.prewarmed, rules, self.recorder, clock)
        share = settings.cluster.slice
        self.concurrency = ConcurrencyLimiter(settings.quotas.concurrent_executions, self.recorder, clock, share)
        self.provisioned = ProvisionedEnvironments(
            self.pool, self.catalog.routes, self.concurrency.put_provisioned, clock, share
        )
        self.recursion = RecursionGuard()
        self.invoker = Invoker(
            self.catalog,
            Admission(clock, self.random_bytes, self.images.idle.wake, guard=self.recursion),
            self.concurrency,
            self.pool,
        )

    def _build_queue(self, key: InstallationKey) -> None:
        settings = self.settings.async_
        bounds = QueueBounds(settings.queue_events_max, settings.queue_bytes_max, settings.enqueue_seconds_max)
        self.events = open_events(self.process.data_directory, self.clock, bounds, url=self.settings.store.url)
        self.asynchronous = AsyncPlane(
            AsyncParts(
                EventStore(self.events.queue, key, is_sealing=self.settings.encryption.at_rest),
                self.invoker,
                self.catalog.resolve,
                self.concurrency.is_switched_off,
                self.recursion.next_header,
                self.neighbours,
                self.recorder,
                self.clock,
                self.random_bytes,
            ),
            AsyncRules(
                self.settings.quotas.async_payload_bytes_max, settings.retry_base_seconds, settings.attempts_max
            ),
        )

    def _build_control_plane(self, key: InstallationKey) -> None:
        settings = self.settings
        networks = Ec2Networks(self.neighbours)
        self.control_plane = ControlPlane(
            ControlPlaneParts(
                store=self.store,
                allows=self.policies.allows_identity,
                code=self.code,
                key=key,
                clock=self.clock,
                random_bytes=self.random_bytes,
                is_known=self.catalog.has,
                prepare=self.preparation.prepare,
                is_ready_at_once=self.preparation.is_ready_at_once,
                resolve_image=self.images.resolve,
                sweep_images=self.images.sweep,
                runtime_builds=self.images.roots.builds_of,
                rules=ControlPlaneRules(
                    refuse_deprecated=settings.runtimes.refuse_deprecated,
                    function_urls_at=settings.function_urls.base_url,
                    concurrent_executions=settings.quotas.concurrent_executions,
                    code_storage_bytes=settings.quotas.code_storage_bytes,
                ),
                networked=networks.attached,
                vpc_id=networks.vpc_id,
                keys=self.kms,
                download=S3Packages(self.neighbours, self.process.data_directory / "spool").download,
                code_in_environments=self.pool.code_in_use,
                allocation_of=self.provisioned.allocation,
                note=self.recorder.emit,
            )
        )

    def _build_triggering(self) -> None:
        from lambent.neighbours import build_bridge
        from lambent.triggers import CallParts, TriggeredCalls

        parts = CallParts(
            self.invoker.invoke, self.asynchronous.invocations, self.catalog.resolve, self.policies.allows,
            self.neighbours, self.clock, os.urandom,
        )  # fmt: skip
        self.calls = TriggeredCalls(parts)
        self.bridge = build_bridge(
            self.catalog,
            self.calls.answer,
            self.outward,
            self.child,
            lambda: (self.control_plane, self.event_sources.operations),
            lambda: self.served,
        )

    def _build_neighbours(self) -> None:
        settings = self.settings
        for sentence in unknown_names(settings.neighbours):
            _log.warning("%s", sentence)
        timeout_seconds = settings.neighbours.timeout_seconds
        plan = ChildPlan(
            packages=embedded_packages(),
            directory=self.process.data_directory / "neighbours",
            account_id=settings.account.default_id,
            region=settings.account.region,
            password=os.urandom(16).hex(),
            public_address=lambda: self.address,
            hung_seconds=min(30.0, timeout_seconds),
            calls_port=lambda: self.bridge.port(),
            greet=lambda origin: self.bridge.greet(origin),
            is_sandboxed=lambda: self.driver.level is not IsolationLevel.L0,
            is_led=lambda: self.inside.names.is_led is not None,
        )
        self.child = EmbeddedChild(plan) if settings.neighbours.enabled else None
        self.endpoints = Endpoints(settings.neighbours, self.child)
        self.outward = HttpClient(ClientRules(silence_seconds=timeout_seconds))
        self.neighbours = OutwardClient(self.endpoints, self.outward, self.clock)
        self.kms = KmsKeys(self.neighbours)
        is_delivering = settings.logs.deliver and self.endpoints.has("logs")
        # The embedded Logs keep some 40,000 lines: what a busy function prints beyond that is not worth its processor.
        own = settings.neighbours.services.get("logs")
        lines_per_second_max = None if own is not None and own.endpoint else _EMBEDDED_LINES_PER_SECOND_MAX
        endpoint = LogsEndpoint(self.neighbours)
        self.delivery = LogDelivery(endpoint, lines_per_second_max) if is_delivering else None

    def _build_served(self) -> None:
        from lambent.callers import CallerParts, Callers
        from lambent.served import ServedParts, build_served

        leases = self.events.leases if self.events.queue.is_shared else None
        parts = ServedParts(
            self.resources, self.control_plane, self.asynchronous, self.invoker.invoke, self.catalog.resolve,
            self.calls, self.endpoints, self.neighbours, leases, self.clock, self.child is not None,
        )  # fmt: skip
        self.served: Served = build_served(parts)
        directory, targets = self.process.data_directory, self.served.targets
        around = CallerParts(self.settings, directory, self.resources, targets, self.outward, self.clock)
        self.callers = Callers(around, self.served.operations)

    def _build_door(self) -> None:
        settings = self.settings
        self.event_sources: EventSources = EventSources(
            EventSourceParts(
                resources=self.resources,
                invoke=self.invoker.invoke,
                client=self.neighbours,
                leases=self.events.leases,
                destinations=self.asynchronous.destinations,
                role_of=self._role_of,
                places=SourcePlaces(
                    dict(one.split("=", 1) for one in settings.event_sources.brokers),
                    settings.event_sources.sasl_plaintext,
                ),
                sink=self.recorder,
                clock=self.clock,
                random_bytes=self.random_bytes,
            )
        )
        self.server = self.inside.server = build_server(
            ApiOptions(
                auth_mode=settings.auth.mode,
                default_account_id=settings.account.default_id,
                default_region=settings.account.region,
                spool_directory=self.process.data_directory / "spool",
                clock_skew_seconds=settings.auth.clock_skew_seconds,
                origins=settings.api.origins,
                hosts=(*settings.api.hosts, *url_hosts(settings.function_urls.base_url)),
                body_memory_bytes_max=settings.api.body_memory_bytes_max,
                slow_client_seconds=settings.api.slow_client_seconds,
            ),
            ApiParts(
                control_plane=self.control_plane,
                allows=self.policies.allows_identity,
                planes={
                    "events": self.event_sources.operations,
                    "events.queue": self.asynchronous.operations,
                    "durable": DurableExecutions(self.resources),
                },
                invoker=self.invoker,
                events=self.asynchronous.invocations,
                find_credentials=self.keys.find,
                workers=self.workers,
                clock=self.clock,
                random_bytes=self.random_bytes,
                log=logging.getLogger("lambent.api"),
                local_routes=self._local_routes(),
                quotas=self.control_plane.quotas,
                neighbours=self.served.schedules.watching(
                    Forwarder(self.endpoints, self.outward, self.clock, self.bridge.wait_settled)
                ),
                services=self.served.operations,
                repositories=self.callers.code_commit.serve,
                function_urls=FunctionUrls(
                    self.function_urls,
                    self.invoker,
                    self.policies,
                    Surroundings(self.clock, os.urandom, self.recorder),
                    needs_invoke=settings.function_urls.invoke_permission,
                ),
            ),
        )

    def _build_feed(self) -> None:
        self.feed = ChangeFeed(
            self.resources,
            FeedReaders(
                self.catalog,
                self.pool,
                self.provisioned,
                self.policies,
                self.function_urls,
                self.concurrency,
                self.recursion,
                self.asynchronous,
                self.event_sources,
                self.preparation.learn,
                self.bridge.changed,
                self.served.schedules.changed,
                self.served.deployments.changed,
            ),
        )

    async def _serve(self, on_ready: Callable[[], None] | None) -> None:
        settings = self.settings.server
        async with asyncio.TaskGroup() as services:
            loops = (
                self.records.run,
                self.recorder.run,
                self.pool.run,
                self.events.run,
                self._run_events,
                self.provisioned.run,
                self.control_plane.run,
                self.invoker.run_streamed,
                self.event_sources.run,
                self._run_images,
                self.feed.run,
                self.preparation.run,
                self._end_idle_workers,
                self.bridge.run,
                self.served.schedules.run,
                self.callers.code_commit.run,
                self.served.deployments.run,
                *((self.child.run,) if self.child is not None else ()),
                *((self.delivery.run,) if self.delivery is not None else ()),
            )
            background = [services.create_task(run()) for run in loops]
            serving = services.create_task(self.server.run())
            try:
                self.address = await self.server.listen(settings.host, settings.port, self.process.tls)
            except OSError as error:
                self._refusal = f"Cannot listen on {settings.host}:{settings.port}: {error.strerror or error}"
            else:
                await self.resources.wait_filled()
                self.is_ready = True
                if on_ready is not None:
                    on_ready()
                await self._stop.wait()
                self.is_ready = False
            self.recorder.end_followers()
            drain_seconds = settings.drain_seconds if self._refusal is None else 0
            async with asyncio.TaskGroup() as draining:
                draining.create_task(self.server.stop(drain_seconds))
                draining.create_task(self.asynchronous.stop(drain_seconds))
                draining.create_task(self.event_sources.stop(drain_seconds))
            # Environments first: an invocation that outlived the drain ends with its environment.
            self.provisioned.close()
            await self.pool.close()
            if self.delivery is not None:
                await self.delivery.drain(_DELIVERY_SECONDS)
            await serving
            for task in reversed(background):
                task.cancel()
        if self._refusal is not None:
            raise StartError(self._refusal)

    async def _start_driver(self, stack: contextlib.AsyncExitStack) -> SandboxDriver:
        wanted = self.settings.isolation
        launcher = self.process.launcher
        driver: SandboxDriver | None = None
        if launcher is not None:
            stack.push_async_callback(asyncio.to_thread, launcher.stop)
            led = await asyncio.to_thread(self.inside.names.prepare)
            candidate = NamespaceDriver(launcher.socket, is_fresh=wanted.level == IsolationLevel.L3, is_led=led)
            self.namespace_refusal = await self._start(candidate, stack)
            driver = candidate if self.namespace_refusal is None else None
        if driver is None:
            if wanted.level not in ("auto", IsolationLevel.L0):
                raise StartError(
                    f"isolation.level={wanted.level} cannot be had on this machine: {self.namespace_refusal}."
                )
            directory = self.process.data_directory
            driver = ProcessDriver(directory, directory / "run" / "processes")
            await self._start(driver, stack)
        if wanted.min != "none" and _LEVELS.index(driver.level) < _LEVELS.index(IsolationLevel(wanted.min)):
            raise StartError(
                f"This machine gives isolation level {driver.level}, and isolation.min asks for {wanted.min}; "
                "lambent doctor says what is missing."
            )
        return driver

    async def _start(self, driver: SandboxDriver, stack: contextlib.AsyncExitStack) -> str | None:
        """Let a driver run until the stack closes; return why it cannot, or None."""
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running = tasks.create_task(self._run_driver(driver))
        stack.callback(running.cancel)
        try:
            await driver.wait_ready()
            if isinstance(driver, NamespaceDriver):
                # By doing: a machine that cannot make one sandbox falls back here, not at the first invocation.
                await driver.prove()
        except SandboxError as error:
            return str(error)
        return None

    async def _run_driver(self, driver: SandboxDriver) -> None:
        try:
            await driver.run()
        except SandboxError as error:
            if self.is_ready:
                _log.critical("the sandbox driver has ended and no function can run: %s", error)
                self._refusal = f"The launcher ended: {error}"
                self.stop()

    async def _run_events(self) -> None:
        # A function that the catalog does not know yet would cost its event an attempt.
        await self.resources.wait_filled()
        await self.asynchronous.run()

    async def _end_idle_workers(self) -> None:
        seen = seen_images = -1
        while True:
            await asyncio.sleep(_WORKERS_IDLE_SECONDS)
            seen = await asyncio.to_thread(self.workers.end_idle, seen)
            seen_images = await asyncio.to_thread(self.image_workers.end_idle, seen_images)

    def _unavailable_reason(self, version: FunctionVersion) -> str | None:
        return self.factory.unavailable_reason(version)

    def _code_in_use(self) -> frozenset[str]:
        return self.pool.code_in_use()

    async def _run_images(self) -> None:
        await self.images.run(self.control_plane)

    def _role_of(self, function_arn: str) -> str:
        with contextlib.suppress(LambdaError):
            return self.catalog.resolve(parse_function_name(function_arn, account_id="", region="")).role
        return ""

    def _credentials_for(self, version: FunctionVersion) -> Credentials:
        return self.keys.issue_for_role(version.account_id, version.role, version.name)

    def _local_routes(self) -> list[LocalRoute]:
        from lambent.routes import refusals_route, response_route

        return [
            health_route(lambda: self.is_ready, lambent_version, self._neighbours_state),
            LocalRoute("GET", "/_lambent/v1/logs", answer_route(self.observability.logs)),
            LocalRoute("GET", "/_lambent/v1/metrics", answer_route(self.observability.metrics)),
            *event_routes(self.asynchronous),
            status_route(self._status),
            refusals_route(self.calls.refusals),
            response_route(lambda token, response: self.bridge.deliver(token, response)),
            *(LocalRoute(method, path, image_route(work)) for method, path, work in self.images.routes.table()),
            code_route(self.control_plane),
            *self.callers.routes(),
        ]

    def _neighbours_state(self) -> Mapping[str, object]:
        return {"state": "switched off"} if self.child is None else self.child.statistics()

    def _status(self) -> Mapping[str, object]:
        return {
            "isolation": self.driver.level.value,
            "missing": dict(self.driver.missing_features),
            "pool": self.pool.statistics(),
            "memory_mib_max": self.process.memory_mib_max,
            "functions": self.catalog.function_count(),
        }

    async def _close_state(self) -> None:
        await self.events.close()
        await self.records.close()
        self.outward.close()
        for workers in (self.workers, self.image_workers):
            await asyncio.to_thread(workers.shutdown, cancel_futures=True)
        self.process.lock.close()
