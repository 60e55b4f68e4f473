"""What must be done before the event loop and before rights are dropped: directory, lock, interpreters, launcher."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import resource
import ssl
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lambent.environments.runtimes import (
    CatalogueOptions,
    InterpreterSearch,
    RuntimeCatalogue,
    SdkDirectories,
    SearchPlaces,
    wheel_node,
)
from lambent.environments.runtimes.plan import Unavailable
from lambent.environments.sandbox import (
    Launcher,
    LauncherOptions,
    NamespaceDriver,
    ProcessDriver,
    drop_rights,
    start_launcher,
)
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily, SandboxError
from lambent.model.environment import IsolationLevel
from lambent.model.function import CodeReference, FunctionVersion
from lambent.store import DataDirectoryLock
from lambent.store.contracts import StoreUnusableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.settings import Settings

# What the daemon's account writes; the launcher makes its own directories, which stay root's.
_DAEMON_DIRECTORIES = (
    "keys", "zips", "code", "layers", "spool", "logs", "run", "neighbours", "images", "java", "trust",
)  # fmt: skip
_MEMORY_SHARE = 0.8


class StartError(Exception):
    """The server refuses to start; the message is a sentence for the person who started it."""


class PreparedProcess(NamedTuple):
    """What the application is built from. `launcher` is None at isolation level L0. Memory in MiB."""

    settings: Settings
    data_directory: Path
    lock: DataDirectoryLock
    interpreters: tuple[Interpreter, ...]
    sdks: SdkDirectories
    launcher: Launcher | None
    memory_mib_max: int
    tls: ssl.SSLContext | None = None


def prepare_process(settings: Settings) -> PreparedProcess:
    """Take the data directory, start the launcher with the rights this process has, then give them up.

    Blocks; to be called once, before any thread or event loop.

    Raises:
        StartError: another daemon holds the data directory, or certificate and key are not usable.
        OSError: the directory, the launcher or the rights cannot be had.
    """
    os.umask(0o022)
    _raise_descriptor_limit()
    data_directory = Path(settings.data_dir).absolute()
    data_directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    data_directory = data_directory.resolve()
    uid = settings.sandbox.daemon_uid
    try:
        lock = DataDirectoryLock(data_directory)
    except StoreUnusableError as error:
        raise StartError(str(error)) from error
    _make_directories(data_directory, uid)
    interpreters = find_interpreters(settings, data_directory / "run" / "interpreters.json")
    sdks = (
        SdkDirectories.below(sdk_root()) if settings.runtimes.sdk else SdkDirectories.below(data_directory / "no-sdk")
    )
    readable = _readable(interpreters, sdks)
    memory_mib_max = settings.host.memory_mib_max or int(_available_mib() * _MEMORY_SHARE)
    tls = _tls_context(settings.server.tls_cert, settings.server.tls_key)
    launcher = None
    if settings.isolation.level != IsolationLevel.L0 and sys.platform == "linux":
        launcher = start_launcher(
            LauncherOptions(
                data_directory,
                readable=readable,
                uid_base=settings.sandbox.uid_base,
                egress=settings.network.egress,
                host_ports=settings.network.host_ports,
                memory_mib_max=memory_mib_max,
                has_apis=settings.network.amazonaws == "intercept",
            )
        )
    drop_rights(uid, reachable=[data_directory, *(Path(path) for path in readable)])
    return PreparedProcess(settings, data_directory, lock, interpreters, sdks, launcher, memory_mib_max, tls)


class RuntimeFinding(NamedTuple):
    """One runtime identifier: the interpreter that runs it, or what is missing. `is_nearest`: another version of it."""

    identifier: str
    interpreter: str | None
    version: str | None
    is_nearest: bool
    missing: str | None


class Diagnosis(NamedTuple):
    """What this machine can run. `missing` maps a feature to why it is not there; limits and pools as settings say."""

    isolation_level: IsolationLevel
    missing: Mapping[str, str]
    runtimes: tuple[RuntimeFinding, ...]
    limits: Mapping[str, int]
    pools: Mapping[str, int]


def diagnose(settings: Settings) -> Diagnosis:
    """Probe this machine by doing, without a running daemon: a launcher is started on a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="lambent-doctor-") as directory:
        level, missing = asyncio.run(_probe_isolation(settings, Path(directory)))
    interpreters = find_interpreters(settings, None)
    sdks = SdkDirectories.below(sdk_root())
    catalogue = RuntimeCatalogue(interpreters, CatalogueOptions(nearest=settings.runtimes.nearest, sdk=sdks))
    if not sdks.python:
        missing["python sdk"] = "boto3 is not provided to functions: run ./scripts/setup"
    if not sdks.nodejs:
        missing["nodejs sdk"] = "the AWS SDK for JavaScript is not provided to functions: run ./scripts/setup with npm"
    if settings.neighbours.enabled and not (embedded_packages() / "ministack").is_dir():
        missing["neighbours"] = "the embedded services are not installed: run ./scripts/setup"
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Diagnosis(
        isolation_level=level,
        missing=missing,
        runtimes=runtime_findings(catalogue),
        limits={
            "host_memory_mib_max": settings.host.memory_mib_max or int(_available_mib() * _MEMORY_SHARE),
            "concurrent_executions": settings.quotas.concurrent_executions,
            "file_descriptors": soft,
            "processors": os.cpu_count() or 1,
        },
        pools={each.name: getattr(settings.pool, each.name) for each in dataclasses.fields(settings.pool)},
    )


async def _probe_isolation(settings: Settings, directory: Path) -> tuple[IsolationLevel, dict[str, str]]:
    if sys.platform != "linux" or settings.isolation.level == IsolationLevel.L0:
        return IsolationLevel.L0, dict(ProcessDriver(directory, directory).missing_features)
    os.chmod(directory, 0o755)
    network = settings.network
    launcher = start_launcher(
        LauncherOptions(directory, (), settings.sandbox.uid_base, network.egress, network.host_ports)
    )
    try:
        driver = NamespaceDriver(launcher.socket, is_fresh=settings.isolation.level == IsolationLevel.L3)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(_quietly(driver))
            try:
                await driver.wait_ready()
                await driver.prove()
                return driver.level, dict(driver.missing_features)
            except SandboxError as error:
                missing = dict(ProcessDriver(directory, directory).missing_features)
                return IsolationLevel.L0, {"namespaces": str(error), **missing}
            finally:
                running.cancel()
    finally:
        await asyncio.to_thread(launcher.stop)


async def _quietly(driver: NamespaceDriver) -> None:
    with contextlib.suppress(SandboxError):
        await driver.run()


def runtime_findings(catalogue: RuntimeCatalogue) -> tuple[RuntimeFinding, ...]:
    """Return what runs each runtime identifier, installed roots apart."""
    return tuple(_finding(name, catalogue) for name in catalogue.identifiers())


def _finding(name: str, catalogue: RuntimeCatalogue) -> RuntimeFinding:
    version = FunctionVersion(
        account_id="0" * 12,
        region="",
        name="doctor",
        role="",
        code=CodeReference("", 0, 0),
        configuration_id="",
        revision_id="",
        last_modified_ms=0,
        runtime=name,
        # Of a class library, which needs the most.
        handler="Assembly::Type::Method" if name.startswith("dotnet") else "index.handler",
    )
    plan = catalogue.plan(version)
    if isinstance(plan, Unavailable):
        return RuntimeFinding(name, None, None, is_nearest=False, missing=plan.reason)
    # A Go program is its own runtime; the Python beside it only helps old ones.
    found = plan.kind.interpreter if name != "go1.x" else None
    return RuntimeFinding(
        name,
        found.executable if found is not None else None,
        found.version if found is not None else None,
        is_nearest=plan.notice is not None,
        missing=None,
    )


def find_interpreters(settings: Settings, memory: Path | None) -> tuple[Interpreter, ...]:
    """Return the interpreters of this machine; `memory` keeps the answers of those that were asked before."""
    own: list[tuple[RuntimeFamily, Path]] = [(RuntimeFamily.PYTHON, Path(sys.executable))]
    node = wheel_node(sys.path)
    if node is not None:
        own.append((RuntimeFamily.NODEJS, node))
    machine = settings.machine
    places = SearchPlaces(
        path=machine.path,
        homes=(Path(machine.home),) if machine.home else (),
        tool_roots=machine.tool_roots,
        executables=tuple(own),
    )
    return InterpreterSearch(places, memory).find()


def sdk_root() -> Path:
    """Return where set-up keeps the SDKs that functions find without shipping them."""
    return Path(sys.prefix) / "share" / "lambent" / "sdk"


def embedded_packages() -> Path:
    """Return where set-up keeps the embedded services."""
    return Path(sys.prefix) / "share" / "lambent" / "ministack"


def architecture() -> str:
    """Return this machine's architecture by AWS's name."""
    return "arm64" if os.uname().machine in ("aarch64", "arm64") else "x86_64"


def _make_directories(data_directory: Path, uid: int) -> None:
    is_root = os.geteuid() == 0
    for name in _DAEMON_DIRECTORIES:
        directory = data_directory / name
        directory.mkdir(mode=0o700 if name == "keys" else 0o755, exist_ok=True)
    if not is_root:
        return
    # An earlier start as another account may have left files; a daemon that cannot write them could not start.
    os.chown(data_directory, uid, uid)
    for entry in data_directory.iterdir():
        if entry.name in _DAEMON_DIRECTORIES or (entry.is_file() and not entry.is_symlink()):
            _give(entry, uid)


def _give(entry: Path, uid: int) -> None:
    if entry.lstat().st_uid == uid:
        return
    os.chown(entry, uid, uid, follow_symlinks=False)
    if entry.is_dir() and not entry.is_symlink():
        for directory, names, files in os.walk(entry):
            for name in (*names, *files):
                os.chown(os.path.join(directory, name), uid, uid, follow_symlinks=False)


def _readable(interpreters: tuple[Interpreter, ...], sdks: SdkDirectories) -> tuple[str, ...]:
    roots = {root for interpreter in interpreters for root in interpreter.roots}
    return tuple(sorted({*roots, CatalogueOptions().client_root, *sdks.python.values(), *sdks.nodejs.values()}))


def _tls_context(certificate: str, key: str) -> ssl.SSLContext | None:
    # Here and not at listening: the key is usually root's alone.
    if not certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        raise StartError(
            f"The certificate {certificate} with key {key or certificate} is not usable: {error}"
        ) from error
    return context


def _raise_descriptor_limit() -> None:
    # An environment holds about ten descriptors; a thousand of them need more than the usual soft limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _available_mib() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) // 1024
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1024 * 1024)


def lambent_version() -> str:
    """Return the installed version."""
    # Imported when asked: it costs a tenth of a start.
    import importlib.metadata

    return importlib.metadata.version("lambent")
