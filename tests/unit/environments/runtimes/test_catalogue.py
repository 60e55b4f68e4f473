"""From function versions to plans."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from lambent.environments.runtimes.catalogue import (
    CatalogueOptions,
    RuntimeCatalogue,
    family_variables,
    is_pool_eligible,
)
from lambent.environments.runtimes.identifiers import IDENTIFIERS
from lambent.environments.runtimes.plan import RuntimePlan, Unavailable
from lambent.environments.runtimes.sdk import SdkDirectories
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily
from lambent.model.function import CodeReference, FunctionVersion


def _python(version: str) -> Interpreter:
    return Interpreter(RuntimeFamily.PYTHON, f"/opt/{version}/bin/python3", version, (f"/opt/{version}",))


def _node(version: str) -> Interpreter:
    return Interpreter(RuntimeFamily.NODEJS, f"/opt/{version}/bin/node", version)


def _ruby(version: str) -> Interpreter:
    return Interpreter(RuntimeFamily.RUBY, f"/opt/{version}/bin/ruby", version, (f"/opt/{version}",))


def _java(version: str) -> Interpreter:
    return Interpreter(RuntimeFamily.JAVA, f"/opt/{version}/bin/java", version, (f"/opt/{version}",))


_FOUND = (_python("3.8.18"), _python("3.11.2"), _python("3.11.7"), _python("3.6.1"), _node("20.20.2"), _node("14.1.0"))
_SDK = SdkDirectories({(3, 8): "/sdk/old", (3, 10): "/sdk/new"}, {2: "/sdk/v2", 3: "/sdk/v3"})


def _version(runtime: str | None, **more: object) -> FunctionVersion:
    made = FunctionVersion(
        account_id="000000000000",
        region="us-east-1",
        name="f",
        role="arn:aws:iam::000000000000:role/r",
        code=CodeReference("0" * 64, 1, 1),
        configuration_id="c",
        revision_id="r",
        last_modified_ms=0,
        runtime=runtime,
        handler="index.handler",
        memory_mib=256,
    )
    return replace(made, **more)


def _plan(runtime: str | None, options: CatalogueOptions | None = None, **more: object) -> RuntimePlan | Unavailable:
    return RuntimeCatalogue(_FOUND, options).plan(_version(runtime, **more))


def test_python_plan() -> None:
    """Pooled: a zygote's fork with the client, no argv."""
    plan = _plan("python3.11", CatalogueOptions(sdk=_SDK))
    assert isinstance(plan, RuntimePlan)
    assert (plan.kind.family, plan.argv, plan.notice) == (RuntimeFamily.PYTHON, (), None)
    assert plan.kind.interpreter == _python("3.11.7")
    assert plan.kind.client_directory is not None
    assert plan.kind.client_directory.endswith("/runtimes/clients/python")
    assert (plan.kind.memory_mib, plan.kind.sdk_directory) == (None, "/sdk/new")
    assert plan.runtime_version == "python:3.11.v7"
    assert plan.variables == {
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "PYTHONPATH": "/var/runtime",
    }


def test_node_plan() -> None:
    """Pooled by memory; v2 of the SDK for old identifiers; the notice names the true version."""
    plan = _plan("nodejs14.x", CatalogueOptions(sdk=_SDK))
    assert isinstance(plan, RuntimePlan)
    assert (plan.kind.family, plan.kind.memory_mib, plan.argv) == (RuntimeFamily.NODEJS, 256, ())
    assert plan.kind.sdk_directory == "/sdk/v2"
    assert plan.notice == "nodejs14.x runs on nodejs 20.20.2, the nearest found here"
    assert plan.runtime_version == "nodejs:20.v20.2"
    assert plan.variables["NODE_PATH"] == (
        "/opt/nodejs/node14/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/sdk/node_modules:"
        "/var/runtime:/var/task"
    )


@pytest.mark.parametrize(
    ("runtime", "version"),
    [
        ("java8", "11.0.22"),
        ("java8.al2", "11.0.22"),
        ("java11", "11.0.22"),
        ("java17", "17.0.15"),
        ("java21", "25.0.3"),
        ("java25", "25.0.3"),
    ],
)
def test_nearest_java(runtime: str, version: str) -> None:
    """A waiting virtual machine is made for one memory size; the newer of two equally near ones is taken."""
    found = (_java("11.0.22"), _java("17.0.15"), _java("25.0.3"))
    plan = RuntimeCatalogue(found).plan(_version(runtime))
    assert isinstance(plan, RuntimePlan)
    assert plan.kind.interpreter is not None
    assert (plan.kind.interpreter.version, plan.kind.family) == (version, RuntimeFamily.JAVA)
    assert (plan.kind.memory_mib, plan.argv) == (256, ())
    major, _, patch = version.split(".")
    assert plan.runtime_version == f"java:{major}.v{patch}"
    assert (plan.notice is None) == (runtime.removeprefix("java").split(".")[0] == major)
    assert plan.variables["AWS_EXECUTION_ENV"] == f"AWS_Lambda_{runtime}"
    assert "CLASSPATH" not in plan.variables


def test_java_options_make_a_process_of_its_own() -> None:
    """What they say is not said again, and a wrapper is called with the whole command."""
    variables = {"JAVA_TOOL_OPTIONS": "-XX:+UseG1GC", "AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap"}
    plan = RuntimeCatalogue((_java("17.0.15"),)).plan(_version("java17", environment=variables))
    assert isinstance(plan, RuntimePlan)
    assert plan.kind.family is RuntimeFamily.EXEC
    assert plan.argv.index("/opt/wrap") == plan.argv.index("/opt/17.0.15/bin/java") - 1
    assert plan.argv[-1] == "lambent.runtime.Main"
    assert "-XX:+UseSerialGC" not in plan.argv


def test_ruby_plan() -> None:
    """A waiting process, whatever the memory; a process of its own where variables act at its start."""
    catalogue = RuntimeCatalogue((_ruby("3.3.6"),))
    plan = catalogue.plan(_version("ruby3.4"))
    assert isinstance(plan, RuntimePlan)
    assert (plan.kind.family, plan.kind.memory_mib, plan.argv) == (RuntimeFamily.RUBY, None, ())
    assert plan.kind.family.is_waiting_process
    assert plan.runtime_version == "ruby:3.3.v6"
    assert plan.notice == "ruby3.4 runs on ruby 3.3.6, the nearest found here"
    assert plan.variables["AWS_EXECUTION_ENV"] == "AWS_Lambda_ruby3.4"
    plan = catalogue.plan(_version("ruby3.3", environment={"RUBYOPT": "-W0", "AWS_LAMBDA_EXEC_WRAPPER": "/opt/w"}))
    assert isinstance(plan, RuntimePlan)
    assert plan.kind.family is RuntimeFamily.EXEC
    assert plan.argv[3:] == ("/opt/w", "/opt/3.3.6/bin/ruby", "/var/runtime/bootstrap.rb")


def test_layers_are_on_the_paths_of_their_family() -> None:
    node = family_variables(IDENTIFIERS["nodejs20.x"], "")
    assert node["NODE_PATH"].startswith("/opt/nodejs/node20/node_modules:/opt/nodejs/node_modules:/var/runtime")
    ruby = family_variables(IDENTIFIERS["ruby3.3"], "")
    assert ruby["GEM_PATH"] == "/var/task/vendor/bundle/ruby/3.3.0:/opt/ruby/gems/3.3.0"
    assert ruby["RUBYLIB"].endswith(":/opt/ruby/lib")
    assert family_variables(IDENTIFIERS["provided.al2023"], "").keys() == {"LAMBDA_RUNTIME_DIR"}


def test_boto3_is_preloaded_only_where_it_hides_nothing() -> None:
    """Top-level names decide; without knowledge of them there is no preload."""
    cases: tuple[tuple[frozenset[str] | None, bool], ...] = (
        (None, False),
        (frozenset({"index.py", "requests"}), True),
        (frozenset({"index.py", "boto3"}), False),
        (frozenset({"six.py"}), False),
        (frozenset({"uuid.py"}), False),
    )
    for names, expected in cases:

        def known(_: FunctionVersion, names: frozenset[str] | None = names) -> frozenset[str] | None:
            return names

        plan = _plan("python3.11", CatalogueOptions(sdk=_SDK, top_level_names=known))
        assert isinstance(plan, RuntimePlan)
        assert plan.kind.preload_sdk is expected


@pytest.mark.parametrize(
    ("variable", "eligible"),
    [
        ("NODE_OPTIONS", False),
        ("JAVA_TOOL_OPTIONS", False),
        ("PYTHONPATH", False),
        ("PYTHONHASHSEED", False),
        ("LD_PRELOAD", False),
        ("AWS_LAMBDA_EXEC_WRAPPER", False),
        ("TABLE", True),
        ("TZ", True),
    ],
)
def test_pool_eligibility(variable: str, eligible: bool) -> None:
    """Variables that act at process start need a process of their own."""
    assert is_pool_eligible(_version("python3.11", environment={variable: "x"})) is eligible


def test_programs_of_their_own() -> None:
    """Executed with the entry script; the wrapper comes first."""
    plan = _plan("python3.11", environment={"PYTHONPATH": "/opt/lib"})
    assert isinstance(plan, RuntimePlan)
    assert plan.kind.family is RuntimeFamily.EXEC
    assert plan.kind.interpreter == _python("3.11.7")
    assert plan.argv == ("/opt/3.11.7/bin/python3", "/var/runtime/lambent_runtime_main.py")
    plan = _plan("nodejs20.x", environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap", "NODE_OPTIONS": "--x"})
    assert isinstance(plan, RuntimePlan)
    assert plan.argv[0] == "/bin/sh"
    assert plan.argv[3:5] == ("/opt/wrap", "/opt/20.20.2/bin/node")
    assert {"--max-old-space-size=230", "--max-semi-space-size=12"} < set(plan.argv[5:-1])
    assert plan.argv[-1] == "/var/runtime/bootstrap.mjs"


def test_custom_runtimes() -> None:
    """The package's bootstrap, else a layer's; go1.x runs its handler."""
    plan = _plan("provided.al2023")
    assert isinstance(plan, RuntimePlan)
    assert (plan.kind.family, plan.kind.interpreter) == (RuntimeFamily.EXEC, None)
    assert plan.argv[0] == "/bin/sh"
    assert plan.argv[-2:] == ("/var/task/bootstrap", "/opt/bootstrap")
    assert plan.runtime_version == "provided:al2023.v1"
    assert "AWS_EXECUTION_ENV" not in plan.variables


@pytest.mark.parametrize(
    ("runtime", "options", "more", "text"),
    [
        ("java17", None, {}, "install Java 17 (a package such as openjdk-17-jre-headless"),
        ("ruby3.4", None, {}, "install Ruby 3.4 (rbenv"),
        ("dotnet8", None, {"handler": "A::B::C"}, "install the .NET runtime (DOTNET_ROOT"),
        (None, None, {}, "image is not on this machine"),
        ("python9.9", None, {}, "python9.9 is not a runtime identifier"),
        ("python2.7", None, {}, "install Python 2.7"),
        ("python3.12", CatalogueOptions(nearest=False), {}, "install Python 3.12 (`pyenv install 3.12`"),
        ("nodejs24.x", CatalogueOptions(nearest=False), {}, "install Node.js 24"),
        ("python3.11", CatalogueOptions(runs_foreign=False), {"architecture": "arm64"}, "built for arm64"),
        ("python3.11", CatalogueOptions(has_native_code=lambda _: True), {"architecture": "arm64"}, "native code"),
    ],
)
def test_what_cannot_run_says_what_to_do(
    runtime: str | None, options: CatalogueOptions | None, more: dict[str, str], text: str
) -> None:
    """The reason becomes the function's StateReason."""
    plan = _plan(runtime, options, **more)
    assert isinstance(plan, Unavailable)
    assert text in plan.reason


def test_the_other_architecture_runs_when_nothing_in_it_is_native() -> None:
    """arm64 packages of scripts run on x86_64."""
    options = CatalogueOptions(has_native_code=lambda _: False)
    assert isinstance(_plan("python3.11", options, architecture="arm64"), RuntimePlan)


@pytest.mark.parametrize("runtime", list(IDENTIFIERS))
def test_every_identifier_on_a_machine_with_nothing(runtime: str) -> None:
    """Programs run anywhere; for everything else the reason says how to have it."""
    plan = RuntimeCatalogue(()).plan(_version(runtime, handler="Assembly::Type::Method"))
    if runtime.startswith(("provided", "custom", "go")):
        assert isinstance(plan, RuntimePlan)
        return
    assert isinstance(plan, Unavailable)
    assert (
        "was not found on this machine: install " in plan.reason or "was found on this machine: install " in plan.reason
    )
    assert f"`lambent runtimes install {runtime}`" in plan.reason
