"""Frozen settings, read once: flags over environment over file over default. The only reader of the environment.

Every setting is declared once, as a field of a section below: name, type, default, unit, bounds and its line of
documentation. `auth.mode` is `[auth] mode = "verify"` in the TOML file, `LAMBENT_AUTH_MODE` in the environment and
`--set auth.mode=verify` as a flag. An unknown name or a wrong value raises SettingError with a sentence naming it.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from lambent.setting_bounds import Bounds
from lambent.setting_bounds import check_egress as _check_egress
from lambent.setting_bounds import check_url as _check_url
from lambent.setting_bounds import matches as _matches
from lambent.setting_bounds import setting as _setting
from lambent.setting_events import AlexaSettings, AsyncSettings, CodeCommitSettings, EventSourcesSettings
from lambent.setting_machine import MachineEnvironment, machine_environment
from lambent.setting_storage import ClusterSettings, EncryptionSettings, ImagesSettings, StoreSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PREFIX = "LAMBENT_"
CONFIG_VARIABLE = "LAMBENT_CONFIG"
_MIB = 1024 * 1024
Value = str | int | float | bool | tuple[str, ...] | tuple[int, ...]


class SettingError(ValueError):
    """A setting is unknown or wrong; the message is a sentence that names it and where it came from."""


_LEVELS = ("L0", "L1", "L2", "L3")
_PORT = Bounds(0, 65_535, text="0 (any free port) to 65535")
_COUNT = Bounds(0, 1_000)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The door: where it listens and how it ends."""

    host: str = _setting("127.0.0.1", "Address to listen on. Anything but loopback is refused unless it is safe.")
    port: int = _setting(4566, "TCP port to listen on.", "port", _PORT)
    tls_cert: str = _setting("", "Certificate chain in PEM; with server.tls_key the door speaks TLS.", "file")
    tls_key: str = _setting("", "Private key of server.tls_cert in PEM.", "file")
    insecure: bool = _setting(
        False, "Listen beyond loopback although auth.mode, TLS or the isolation level make that unsafe."
    )
    drain_seconds: int = _setting(
        30, "After SIGTERM, how long running invocations may still take.", "seconds", Bounds(0, 900)
    )
    log_level: str = _setting(
        "info", "How much the daemon says on standard error.", "", Bounds(choices=("debug", "info", "warning", "error"))
    )


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Who may call."""

    mode: str = _setting(
        "accept",
        "accept: a signature only names account and region. verify: a wrong or missing one is refused.",
        "",
        Bounds(choices=("accept", "verify")),
    )
    clock_skew_seconds: int = _setting(
        300, "How far a signature's time may be from ours.", "seconds", Bounds(1, 86_400)
    )


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """The account of callers who name none."""

    default_id: str = _setting(
        "000000000000",
        "Account of a caller whose key names none.",
        "",
        Bounds(check=_matches(r"\d{12}"), text="12 digits"),
    )
    region: str = _setting(
        "us-east-1",
        "Region of a caller whose signature names none.",
        "",
        Bounds(check=_matches(r"(eusc-)?[a-z]{2}(-gov)?(-iso[a-z]?)?-[a-z]+-\d"), text="an AWS region name"),
    )


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Limits and openings of the API door."""

    origins: tuple[str, ...] = _setting((), "Origins of web pages that may call, e.g. https://console.example.")
    hosts: tuple[str, ...] = _setting((), "Further values of the Host header to answer (loopback names always are).")
    body_memory_bytes_max: int = _setting(
        262_144, "Larger control-plane bodies go to a file and are decoded in another process.", "bytes",
        Bounds(4_096, 64 * _MIB),
    )  # fmt: skip
    slow_client_seconds: int = _setting(
        30, "How long a client may take for the next bytes of a request it has begun.", "seconds", Bounds(1, 3_600)
    )


@dataclass(frozen=True, slots=True)
class IsolationSettings:
    """How customer code is kept in."""

    level: str = _setting(
        "auto", "Isolation level to use; auto takes the best.", "", Bounds(choices=("auto", *_LEVELS))
    )
    min: str = _setting("none", "Refuse to start below this level.", "", Bounds(choices=("none", *_LEVELS)))


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What the machine gives."""

    memory_mib_max: int = _setting(
        0, "Memory of all environments together; 0 is 80 % of what is available at start.", "MiB",
        Bounds(0, 16 * 1024 * 1024),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """What functions may reach."""

    egress: str = _setting(
        "open",
        "Where functions may connect to: open (anywhere but this host), none, or a list of CIDR:PORT.",
        "",
        Bounds(
            check=_check_egress, text="open, none, or entries CIDR, CIDR:PORT or CIDR:FIRST-LAST separated by commas"
        ),
    )
    host_ports: tuple[int, ...] = _setting(
        (), "TCP ports of this host that functions reach as host.lambent.internal.", "port", Bounds(1, 65_535)
    )
    amazonaws: str = _setting(
        "intercept", "Where names of amazonaws.com lead inside functions: intercept (here) or pass (to AWS).", "",
        Bounds(choices=("intercept", "pass")),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Accounts of processes."""

    uid_base: int = _setting(
        2_000_000,
        "User id that owns root's files inside sandboxes; environments take the ids after it, one each.",
        "uid",
        Bounds(65_536, 4_000_000_000),
    )
    daemon_uid: int = _setting(
        64_990, "User and group id that the daemon takes when started as root.", "uid", Bounds(1, 4_294_967_294)
    )


@dataclass(frozen=True, slots=True)
class RuntimesSettings:
    """Which interpreter runs which runtime identifier."""

    nearest: bool = _setting(True, "Run on the nearest version of the family when the exact one is not found.")
    refuse_deprecated: bool = _setting(False, "Refuse deprecated runtime identifiers as AWS does today.")
    sdk: bool = _setting(True, "Let functions import the AWS SDK without shipping it.")


@dataclass(frozen=True, slots=True)
class ArchitecturesSettings:
    """Functions declared for another processor."""

    foreign: str = _setting(
        "run", "Functions of the other architecture: run (when nothing in them is native) or refuse.", "",
        Bounds(choices=("run", "refuse")),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class EnvironmentsSettings:
    """Life of an execution environment."""

    idle_seconds_max: int = _setting(600, "An environment idle for longer is shut down.", "seconds", Bounds(1, 86_400))
    shutdown_grace_ms: int = _setting(
        500, "Time between SIGTERM and SIGKILL when an environment ends.", "milliseconds", Bounds(0, 10_000)
    )
    init_seconds: int = _setting(
        10, "Time of the Init phase; then Init is done again inside the first invocation.", "seconds", Bounds(1, 900)
    )


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Prewarmed sandboxes kept waiting, for each runtime version and account in use."""

    python: int = _setting(4, "Waiting Python sandboxes.", "sandboxes", _COUNT)
    nodejs: int = _setting(2, "Waiting Node.js sandboxes, for each memory size in use.", "sandboxes", _COUNT)
    ruby: int = _setting(2, "Waiting Ruby sandboxes.", "sandboxes", _COUNT)
    java: int = _setting(1, "Waiting Java virtual machines, for each memory size in use.", "sandboxes", _COUNT)
    exec: int = _setting(2, "Waiting sandboxes for custom runtimes.", "sandboxes", _COUNT)


@dataclass(frozen=True, slots=True)
class LogsSettings:
    """Functions' logs on disk."""

    bytes_max: int = _setting(
        1024 * _MIB, "All logs together; the oldest are dropped.", "bytes", Bounds(_MIB, 1024 * 1024 * _MIB)
    )
    deliver: bool = _setting(True, "Write them to CloudWatch Logs too: the embedded one, or neighbours.logs.endpoint.")
    bytes_max_per_invocation: int = _setting(
        16 * _MIB, "What one invocation may print; the rest is cut and counted in its log.", "bytes",
        Bounds(4_096, 1024 * _MIB),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class BillingSettings:
    """What REPORT calls billed."""

    init_billed: bool = _setting(True, "Billed Duration contains Init, as on AWS since August 2025.")


@dataclass(frozen=True, slots=True)
class QuotasSettings:
    """Quotas that AWS would raise on request."""

    concurrent_executions: int = _setting(
        1_000, "Invocations at one time, for each account and region.", "invocations", Bounds(1, 1_000_000)
    )
    async_payload_bytes_max: int = _setting(
        1_048_576, "Payload of an asynchronous invocation.", "bytes", Bounds(1_024, 6_291_456)
    )
    code_storage_bytes: int = _setting(
        75 * 1024 * _MIB, "Code of all functions, for each account and region.", "bytes", Bounds(_MIB, 1024**5)
    )
    streamed_response_bytes: int = _setting(
        200 * _MIB, "What a function may stream in one response.", "bytes", Bounds(6 * _MIB, 1024**4)
    )


@dataclass(frozen=True, slots=True)
class FunctionUrlsSettings:
    """Function URLs."""

    base_url: str = _setting(
        "", "Where function URLs are: https://NAME[:PORT], below NAME. Empty: where the API was asked.", "URL",
        Bounds(check=_check_url, text="an http or https URL"),
    )  # fmt: skip
    invoke_permission: bool = _setting(
        False,
        "A URL needs a statement for lambda:InvokeFunction too, as AWS demands of URLs made since October 2025.",
    )


@dataclass(frozen=True, slots=True)
class NeighbourSettings:
    """One service beside Lambda. SERVICE is its name on AWS's command line: s3, sqs, dynamodb, logs, cognito-idp …"""

    endpoint: str = _setting(
        "", "Where SERVICE answers; empty: embedded.", "URL", Bounds(check=_check_url, text="an http or https URL")
    )
    region: str = _setting("", "Region to sign calls to the endpoint for; empty: the caller's.")
    access_key_id: str = _setting("", "Access key that signs calls to the endpoint; empty: passed on as they came.")
    secret_access_key: str = _setting("", "Its secret; better in the environment than in a file.")


@dataclass(frozen=True, slots=True)
class NeighboursSettings:
    """The services around Lambda: embedded ones, or real ones by endpoint. docs/neighbours.md says more."""

    enabled: bool = _setting(True, "Start the embedded services when one of them is first called.")
    timeout_seconds: int = _setting(
        60, "How long a service may neither take nor send a byte of a request.", "seconds", Bounds(1, 3_600)
    )
    services: Mapping[str, NeighbourSettings] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClientEnvironment:
    """How a client command reaches a server: AWS's own variables, with this installation's defaults."""

    endpoint_url: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. One field per section; `data_dir` stands alone. Immutable for the process's life."""

    data_dir: str = _setting(
        "", "Where everything durable lives. Empty: /var/lib/lambent as root, else ~/.local/share/lambent.", "directory"
    )
    server: ServerSettings = field(default_factory=ServerSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    account: AccountSettings = field(default_factory=AccountSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    isolation: IsolationSettings = field(default_factory=IsolationSettings)
    host: HostSettings = field(default_factory=HostSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)
    runtimes: RuntimesSettings = field(default_factory=RuntimesSettings)
    images: ImagesSettings = field(default_factory=ImagesSettings)
    architectures: ArchitecturesSettings = field(default_factory=ArchitecturesSettings)
    environments: EnvironmentsSettings = field(default_factory=EnvironmentsSettings)
    pool: PoolSettings = field(default_factory=PoolSettings)
    logs: LogsSettings = field(default_factory=LogsSettings)
    billing: BillingSettings = field(default_factory=BillingSettings)
    encryption: EncryptionSettings = field(default_factory=EncryptionSettings)
    quotas: QuotasSettings = field(default_factory=QuotasSettings)
    function_urls: FunctionUrlsSettings = field(default_factory=FunctionUrlsSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    async_: AsyncSettings = field(default_factory=AsyncSettings)
    event_sources: EventSourcesSettings = field(default_factory=EventSourcesSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    codecommit: CodeCommitSettings = field(default_factory=CodeCommitSettings)
    alexa: AlexaSettings = field(default_factory=AlexaSettings)
    neighbours: NeighboursSettings = field(default_factory=NeighboursSettings)
    machine: MachineEnvironment = field(default_factory=MachineEnvironment)


class SettingRow(NamedTuple):
    """One setting of the table: dotted name, default, unit, bounds and its line of documentation."""

    name: str
    default: Value
    unit: str
    bounds: Bounds
    doc: str

    @property
    def variable(self) -> str:
        """The setting's name in the environment."""
        return _PREFIX + self.name.upper().replace(".", "_").replace("-", "_")

    @property
    def type_name(self) -> str:
        """What a value is, in words."""
        default = self.default
        if isinstance(default, tuple):
            return "list of numbers" if self.bounds.low is not None else "list of texts"
        words = {bool: "true or false", int: "whole number", float: "number", str: "text"}
        return words[type(default)]

    @property
    def allowed(self) -> str:
        """The bounds in words; empty when any value of the type will do."""
        bounds = self.bounds
        if bounds.text:
            return bounds.text
        if bounds.choices:
            return ", ".join(bounds.choices)
        return f"{bounds.low:,.0f} to {bounds.high:,.0f}" if bounds.low is not None else ""


def table() -> tuple[SettingRow, ...]:
    """Return every setting, in the order of the documentation, but those of `neighbour_table`."""
    return tuple(_rows())


def neighbour_table() -> tuple[SettingRow, ...]:
    """Return the settings that every service beside Lambda has; SERVICE in their names stands for its name."""
    return tuple(_row(f"neighbours.SERVICE.{inner.name}", inner) for inner in fields(NeighbourSettings))


def read_settings(
    flags: Mapping[str, str], *, config: str | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Read the settings of this process once.

    `flags`: dotted name → text. `config`: path of a TOML file (else LAMBENT_CONFIG names one). `environment`
    replaces the process's own in tests.

    Raises:
        SettingError: a name is unknown, a value is wrong, or the file cannot be read.
    """
    variables = os.environ if environment is None else environment
    rows = {row.name: row for row in (*table(), *neighbour_table())}
    values: dict[str, Value] = {}
    path = config or variables.get(CONFIG_VARIABLE)
    if path:
        values |= {name: _from_file(rows, name, value, path) for name, value in _file_items(path)}
    values |= _from_environment(rows, variables)
    for name, text in flags.items():
        values[name] = _from_text(_known(rows, name, f"--set {name}"), text, f"--set {name}")
    machine = machine_environment(variables)
    values["data_dir"] = _data_directory(cast("str", values.get("data_dir", "")), machine)
    settings = _assemble(values, machine)
    _check_tls(settings)
    return settings


def read_client_environment(environment: Mapping[str, str] | None = None) -> ClientEnvironment:
    """Read how a client command shall reach the server, from AWS's own variables."""
    variables = os.environ if environment is None else environment
    endpoint = variables.get("AWS_ENDPOINT_URL_LAMBDA") or variables.get("AWS_ENDPOINT_URL")
    return ClientEnvironment(
        endpoint_url=(endpoint or "http://127.0.0.1:4566").rstrip("/"),
        region=variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION") or "us-east-1",
        access_key_id=variables.get("AWS_ACCESS_KEY_ID") or "test",
        secret_access_key=variables.get("AWS_SECRET_ACCESS_KEY") or "test",
        session_token=variables.get("AWS_SESSION_TOKEN") or None,
    )


def _check_tls(settings: Settings) -> None:
    if bool(settings.server.tls_cert) != bool(settings.server.tls_key):
        raise SettingError("server.tls_cert and server.tls_key belong together: one is set and the other is not.")


def _rows() -> Iterator[SettingRow]:
    for outer in fields(Settings):
        if "doc" in outer.metadata:
            yield _row(outer.name, outer)
        elif outer.name != "machine":
            assert outer.default_factory is not MISSING
            for inner in fields(outer.default_factory()):
                if "doc" in inner.metadata:
                    yield _row(f"{outer.name.rstrip('_')}.{inner.name}", inner)


def _row(name: str, declared: Field[object]) -> SettingRow:
    meta = declared.metadata
    return SettingRow(name, cast("Value", declared.default), meta["unit"], meta["bounds"], meta["doc"])


def _assemble(values: Mapping[str, Value], machine: MachineEnvironment) -> Settings:
    arguments: dict[str, object] = {"machine": machine}
    for outer in fields(Settings):
        if outer.name in values:
            arguments[outer.name] = values[outer.name]
        elif outer.name != "machine" and outer.default_factory is not MISSING:
            # `async` is a word of Python's, so its field cannot have that name.
            prefix = f"{outer.name.rstrip('_')}."
            chosen: dict[str, object] = {
                name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)
            }
            if outer.name == "neighbours":
                chosen = _with_neighbours(chosen)
            arguments[outer.name] = type(outer.default_factory())(**chosen)
    return Settings(**arguments)  # type: ignore[arg-type]


def _with_neighbours(chosen: Mapping[str, object]) -> dict[str, object]:
    services: dict[str, dict[str, object]] = {}
    for name, value in chosen.items():
        service, dot, inner = name.partition(".")
        if dot:
            services.setdefault(service, {})[inner] = value
    own = {name: value for name, value in chosen.items() if "." not in name}
    return own | {"services": {name: NeighbourSettings(**parts) for name, parts in services.items()}}  # type: ignore[arg-type]


def _file_items(path: str) -> Iterator[tuple[str, object]]:
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise SettingError(f"The settings file {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"The settings file {path} is not TOML: {error}.") from error
    for name, value in document.items():
        if isinstance(value, dict):
            for inner, item in value.items():
                deeper = item.items() if isinstance(item, dict) else ()
                yield from ((f"{name}.{inner}.{deepest}", each) for deepest, each in deeper)
                if not isinstance(item, dict):
                    yield f"{name}.{inner}", item
        else:
            yield name, value


def _from_environment(rows: Mapping[str, SettingRow], variables: Mapping[str, str]) -> dict[str, Value]:
    by_variable = {row.variable: row for row in rows.values()}
    values: dict[str, Value] = {}
    for variable, text in variables.items():
        if variable.startswith(_PREFIX) and variable != CONFIG_VARIABLE:
            row = by_variable.get(variable) or _neighbour_row(rows, variable.removeprefix(_PREFIX).lower())
            if row is None:
                raise SettingError(_unknown(variable, [*by_variable, CONFIG_VARIABLE], "the environment variable "))
            values[row.name] = _from_text(row, text, variable)
    return values


def _known(rows: Mapping[str, SettingRow], name: str, source: str) -> SettingRow:
    row = (rows.get(name) if "SERVICE" not in name else None) or _neighbour_row(rows, name)
    if row is None:
        raise SettingError(_unknown(name, list(rows), "") if source.startswith("--") else
                           f"{source}: {_unknown(name, list(rows), '')}")  # fmt: skip
    return row


def _neighbour_row(rows: Mapping[str, SettingRow], name: str) -> SettingRow | None:
    match = re.fullmatch(r"neighbours[._]([a-z0-9_-]+?)[._](endpoint|region|access_key_id|secret_access_key)", name)
    if match is None:
        return None
    return rows[f"neighbours.SERVICE.{match[2]}"]._replace(name=f"neighbours.{match[1].replace('_', '-')}.{match[2]}")


def _unknown(name: str, known: Sequence[str], kind: str) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    sentence = f"There is no setting {name}" if not kind else f"No setting belongs to {kind}{name}"
    return f"{sentence}; did you mean {near[0]}?" if near else f"{sentence}; docs/settings.md lists them all."


def _from_text(row: SettingRow, text: str, source: str) -> Value:
    """Convert what an environment variable or a flag says."""
    default = row.default
    try:
        if isinstance(default, bool):
            return _checked(row, {"true": True, "false": False, "1": True, "0": False}[text.lower()], source)
        if isinstance(default, int):
            return _checked(row, int(text), source)
        if isinstance(default, float):
            return _checked(row, float(text), source)
        if isinstance(default, tuple):
            parts = [part.strip() for part in text.split(",") if part.strip()]
            is_numbers = row.bounds.low is not None
            return _checked(row, tuple(int(part) for part in parts) if is_numbers else tuple(parts), source)
    except (KeyError, ValueError) as error:
        raise error if isinstance(error, SettingError) else _wrong(row, text, source) from error
    return _checked(row, text, source)


def _from_file(rows: Mapping[str, SettingRow], name: str, value: object, path: str) -> Value:
    source = f"{name} in {path}"
    row = _known(rows, name, path)
    if isinstance(row.default, tuple) and isinstance(value, list):
        kind = int if row.bounds.low is not None else str
        if all(type(item) is kind for item in value):
            return _checked(row, tuple(value), source)
    if isinstance(row.default, float) and type(value) is int:
        value = float(value)
    if type(value) is not type(row.default):
        raise _wrong(row, value, source)
    return _checked(row, value, source)


def _checked(row: SettingRow, value: Value, source: str) -> Value:
    bounds = row.bounds
    items = value if isinstance(value, tuple) else (value,)
    for item in items:
        if (
            isinstance(item, int | float)
            and not isinstance(item, bool)
            and bounds.low is not None
            and bounds.high is not None
        ):
            is_wrong = not bounds.low <= item <= bounds.high
        else:
            is_wrong = bool(bounds.choices) and item not in bounds.choices
        if bounds.check is not None:
            try:
                bounds.check(str(item))
            except ValueError:
                is_wrong = True
        if is_wrong:
            raise _wrong(row, value, source)
    return value


def _wrong(row: SettingRow, value: object, source: str) -> SettingError:
    if row.bounds.choices or row.bounds.check is not None:
        wanted = f"one of {row.allowed}" if row.bounds.choices else row.allowed
    else:
        article = "" if row.type_name == "true or false" else "a "
        wanted = article + row.type_name + (f" from {row.allowed}" if row.allowed else "")
    shown = "" if row.bounds.is_secret else f", not {list(value) if isinstance(value, tuple) else value!r}"
    return SettingError(f"Setting {row.name} (from {source}) must be {wanted}{shown}.")


def _data_directory(text: str, machine: MachineEnvironment) -> str:
    if text:
        return str(Path(text).expanduser().absolute())
    if os.geteuid() == 0:
        return "/var/lib/lambent"
    if not machine.data_home and not machine.home:
        raise SettingError("Neither data_dir nor HOME says where the data directory shall be.")
    return str(Path(machine.data_home or f"{machine.home}/.local/share") / "lambent")
