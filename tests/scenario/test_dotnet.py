"""Functions in .NET under a host's `dotnet`, a real .NET Core 3.1; AWS's client, which is NuGet's, is stood in for."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import make_zip_bytes
from tests.runtimes.native_programs import FIXTURES, build_dotnet, dotnet_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.conftest import ServerFactory

_ROOT = dotnet_root()
_WAIT = {"Delay": 1, "MaxAttempts": 60}
_CONFIG = json.dumps(
    {
        "runtimeOptions": {
            "framework": {"name": "Microsoft.NETCore.App", "version": "3.1.0"},
            "configProperties": {"System.Globalization.Invariant": True},
        }
    }
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(_ROOT is None, reason="no .NET and C# compiler for the tests on this machine"),
]


def _seen_root() -> str:
    """Return where functions see .NET: a root below /tmp would be hidden by their own /tmp, so it is copied."""
    return f"/var/tmp/lambent-dotnet-{os.getpid()}" if str(_ROOT).startswith("/tmp/") else str(_ROOT)


@pytest.fixture(scope="module")
def assemblies(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Compile the program, the class library and the stand-in for AWS's client."""
    assert _ROOT is not None
    directory = tmp_path_factory.mktemp("dotnet")
    source = FIXTURES / "dotnet"
    made = {}
    for name, sources in {
        "App": ("Program.cs", "Api.cs"),
        "My.Library": ("Function.cs",),
        "Amazon.Lambda.RuntimeSupport": ("StandIn.cs", "Api.cs"),
    }.items():
        target = build_dotnet(_ROOT, [source / each for each in sources], directory / f"{name}.dll")
        made[name] = target.read_bytes()
    return made


@pytest.fixture(scope="module")
def client(
    lambent_server_factory: ServerFactory, assemblies: Mapping[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A server that was started where DOTNET_ROOT and NUGET_PACKAGES are set."""
    # Below pytest's own directory the daemon's account could not read.
    packages = FIXTURES.parents[2] / ".venv" / "share" / f"nuget-{os.getpid()}"
    copied = _seen_root() != str(_ROOT)
    if copied:
        shutil.copytree(str(_ROOT), _seen_root(), symlinks=True)
    support = packages / "amazon.lambda.runtimesupport" / "1.13.0" / "lib" / "netcoreapp3.1"
    support.mkdir(parents=True)
    (support / "Amazon.Lambda.RuntimeSupport.dll").write_bytes(assemblies["Amazon.Lambda.RuntimeSupport"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOTNET_ROOT", _seen_root())
        patch.setenv("NUGET_PACKAGES", str(packages))
        server = lambent_server_factory()
    yield server.client()
    shutil.rmtree(packages)
    if copied:
        shutil.rmtree(_seen_root())


def _create(client: Any, name: str, files: Mapping[str, Any], **members: Any) -> None:
    client.create_function(
        FunctionName=name,
        Role="arn:aws:iam::000000000000:role/test",
        Code={"ZipFile": make_zip_bytes(files)},
        **{"Runtime": "dotnetcore3.1", "Timeout": 20, "MemorySize": 512, **members},
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=_WAIT)


def _invoke(client: Any, name: str, event: object) -> tuple[Any, str | None]:
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event))
    return json.loads(answer["Payload"].read()), answer.get("FunctionError")


def test_a_program(client: Any, assemblies: Mapping[str, bytes]) -> None:
    """The handler names the assembly alone; `dotnet exec` runs its Main, a wrapper script before it if there is one."""
    wrapper = '#!/bin/sh\nexport WRAPPED="$2"\nexec "$@"\n'
    files = {"App.dll": assemblies["App"], "App.runtimeconfig.json": _CONFIG, "wrapper": (wrapper, 0o755)}
    for name, variables, wrapped in (
        ("program", {}, ""),
        ("wrapped", {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}, "exec"),
    ):
        _create(client, name, files, Handler="App", Environment={"Variables": variables})
        said, error = _invoke(client, name, {"text": "Grüße"})
        assert error is None, said
        assert said["event"] == {"text": "Grüße"}
        assert said["on"].startswith(".NET Core 3.1.")
        assert (said["root"], said["wrapped"]) == (_seen_root(), wrapped)
    assert _invoke(client, "program", "fail") == (
        {"errorType": "InvalidOperationException", "errorMessage": "as asked"},
        "Unhandled",
    )
    assert _invoke(client, "program", "exit")[0]["errorMessage"].endswith("exit status 9")
    assert _invoke(client, "program", 1)[0]["event"] == 1


def test_a_class_library(client: Any, assemblies: Mapping[str, bytes]) -> None:
    """Assembly, type and method; AWS's client from NuGet's directory, here the stand-in, is shown at /var/runtime."""
    dependencies = {
        "runtimeTarget": {"name": ".NETCoreApp,Version=v3.1"},
        "targets": {".NETCoreApp,Version=v3.1": {"My.Library/1.0.0": {"runtime": {"My.Library.dll": {}}}}},
        "libraries": {"My.Library/1.0.0": {"type": "project", "serviceable": False, "sha512": ""}},
    }
    files = {
        "My.Library.dll": assemblies["My.Library"],
        "My.Library.deps.json": json.dumps(dependencies),
        "My.Library.runtimeconfig.json": _CONFIG,
    }
    _create(client, "library", files, Handler="My.Library::My.Space.Function::Handle")
    for count in (1, 2):
        assert _invoke(client, "library", [count]) == (
            {"event": [count], "calls": count, "from": "/var/task/My.Library.dll"},
            None,
        )
    assert _invoke(client, "library", "fail")[0] == {"errorType": "ArgumentException", "errorMessage": "as asked"}


def test_a_package_that_was_not_published_whole(client: Any, assemblies: Mapping[str, bytes]) -> None:
    """What is missing is in the log; the exit status is that of AWS's runtime."""
    _create(
        client, "half", {"My.Library.dll": assemblies["My.Library"]}, Handler="My.Library::My.Space.Function::Handle"
    )
    payload, error = _invoke(client, "half", 1)
    assert (payload["errorType"], error) == ("Runtime.ExitError", "Unhandled")
    assert payload["errorMessage"].endswith("Error: Runtime exited with error: exit status 105")


@pytest.mark.parametrize("runtime", ["dotnet6", "dotnet8", "dotnet10"])
def test_older_never_runs_newer(client: Any, runtime: str) -> None:
    """CreateFunction succeeds; the state's reason says what to install."""
    name = f"no-{runtime}"
    client.create_function(
        FunctionName=name, Runtime=runtime, Handler="A::B::C", Role="arn:aws:iam::000000000000:role/test",
        Code={"ZipFile": make_zip_bytes({"A.dll": b"x"})},
    )  # fmt: skip
    configuration = {"State": "Pending"}
    while configuration["State"] == "Pending":
        configuration = client.get_function_configuration(FunctionName=name)
    assert configuration["State"] == "Failed"
    assert configuration["StateReason"].startswith(f"A .NET that runs {runtime} was not found on this machine: install")
