"""The search for .NET and the command that starts a function under it. `dotnet` here is a stand-in: a shell script."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from lambent.environments.runtimes.dotnet import SUPPORT_FILE, choose_dotnet, find_dotnet, plan_dotnet
from lambent.environments.runtimes.identifiers import IDENTIFIERS
from lambent.environments.runtimes.plan import RuntimePlan, Unavailable
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily
from lambent.model.function import CodeReference, FunctionVersion

if TYPE_CHECKING:
    from pathlib import Path


def _root(directory: Path, *versions: str) -> Path:
    for version in versions:
        (directory / "shared" / "Microsoft.NETCore.App" / version).mkdir(parents=True)
    (directory / "dotnet").write_text('#!/bin/sh\nfor each; do echo "$each"; done\n')
    (directory / "dotnet").chmod(0o755)
    return directory


def _support(packages: Path, version: str, target: str) -> Path:
    directory = packages / "amazon.lambda.runtimesupport" / version / "lib" / target
    directory.mkdir(parents=True)
    (directory / SUPPORT_FILE).write_bytes(b"")
    return directory


def _version(runtime: str, handler: str) -> FunctionVersion:
    return FunctionVersion(
        account_id="000000000000",
        region="us-east-1",
        name="f",
        role="arn:aws:iam::000000000000:role/r",
        code=CodeReference("0" * 64, 1, 1),
        configuration_id="c",
        revision_id="r",
        last_modified_ms=0,
        runtime=runtime,
        handler=handler,
    )


def test_every_version_of_every_root_is_found(tmp_path: Path) -> None:
    """DOTNET_ROOT, a home directory, the link on PATH; each root once; the client that fits each version."""
    variable = _root(tmp_path / "variable", "8.0.11", "6.0.36", "not-a-version")
    home = tmp_path / "home"
    _root(home / ".dotnet", "10.0.0")
    linked = _root(tmp_path / "linked", "9.0.1")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "dotnet").symlink_to(linked / "dotnet")
    packages = home / ".nuget" / "packages"
    old, new = _support(packages, "1.8.0", "net6.0"), _support(packages, "1.13.0", "net8.0")
    found = list(find_dotnet(f"{tmp_path}/bin:{variable}", (home,), {"DOTNET_ROOT": str(variable)}))
    assert {(each.executable, each.version, each.client_directory) for each in found} == {
        (f"{variable}/dotnet", "8.0.11", str(new)),
        (f"{variable}/dotnet", "6.0.36", str(old)),
        (f"{home}/.dotnet/dotnet", "10.0.0", str(new)),
        (f"{linked}/dotnet", "9.0.1", str(new)),
    }
    assert len(found) == 4
    assert found[0].roots[0] == str(variable)
    assert {each.family for each in found} == {RuntimeFamily.DOTNET}


def _found(version: str, client: str | None = "/c") -> Interpreter:
    return Interpreter(RuntimeFamily.DOTNET, "/usr/share/dotnet/dotnet", version, client_directory=client)


@pytest.mark.parametrize(
    ("runtime", "version"),
    [
        ("dotnet8", "8.0.11"),
        ("dotnet6", "8.0.11"),
        ("dotnetcore3.1", "8.0.11"),
        ("dotnetcore2.1", "8.0.11"),
        ("dotnet10", None),
    ],
)
def test_newer_runs_older(runtime: str, version: str | None) -> None:
    """Never the other way round; the highest patch that has AWS's client beside it."""
    machine = (_found("8.0.2"), _found("8.0.11"), _found("8.0.12", None), _found("9.0.1"))
    chosen = choose_dotnet(IDENTIFIERS[runtime], machine, is_exact=False)
    assert (chosen and chosen.version) == version
    exact = choose_dotnet(IDENTIFIERS[runtime], machine, is_exact=True)
    assert (exact and exact.version) == ("8.0.11" if runtime == "dotnet8" else None)


def _start(task: Path, found: Interpreter | None, handler: str, **environment: str) -> tuple[int, list[str], str]:
    plan = plan_dotnet(IDENTIFIERS["dotnet8"], _version("dotnet8", handler), found, {})
    assert isinstance(plan, RuntimePlan)
    argv = [str(task) if each == "/var/task" else each for each in plan.argv]
    ran = subprocess.run(
        argv, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", **environment}
    )
    return ran.returncode, ran.stdout.splitlines(), ran.stderr


def test_class_libraries(tmp_path: Path) -> None:
    """AWS's client with the assembly's own files, or the only ones there are."""
    root = _root(tmp_path / "dotnet", "8.0.1")
    found = Interpreter(RuntimeFamily.DOTNET, str(root / "dotnet"), "8.0.1", client_directory="/c")
    task = tmp_path / "task"
    task.mkdir()
    handler = "My.App::My.Function::Handle"
    assert _start(task, found, handler)[0] == 105
    (task / "Other.deps.json").write_text("{}")
    assert _start(task, found, handler)[0] == 106
    (task / "Other.runtimeconfig.json").write_text("{}")
    for name in ("Other", "My.App"):
        (task / f"{name}.deps.json").write_text("{}")
        (task / f"{name}.runtimeconfig.json").write_text("{}")
        files = (f"{task}/{name}.deps.json", "--runtimeconfig", f"{task}/{name}.runtimeconfig.json")
        said = _start(task, found, handler)[1]
        assert said == ["exec", "--depsfile", *files, f"/var/runtime/{SUPPORT_FILE}", handler]
    said = _start(task, found, handler, LAMBDA_DOTNET_MAIN_ASSEMBLY="Other.dll")[1]
    assert said[2] == f"{task}/Other.deps.json"


def test_programs(tmp_path: Path) -> None:
    """An assembly with a Main of its own; native code, which needs no .NET; neither."""
    root = _root(tmp_path / "dotnet", "8.0.1")
    found = Interpreter(RuntimeFamily.DOTNET, str(root / "dotnet"), "8.0.1")
    task = tmp_path / "task"
    task.mkdir()
    assert _start(task, found, "App")[0] == 104
    (task / "App.dll").write_bytes(b"")
    assert _start(task, found, "App")[1] == ["exec", f"{task}/App.dll"]
    assert _start(task, found, "App.dll")[1] == ["exec", f"{task}/App.dll"]
    status, _, said = _start(task, None, "App")
    assert status == 104
    assert "needs a .NET runtime" in said
    (task / "Native").write_text("#!/bin/sh\necho native\n")
    (task / "Native").chmod(0o755)
    assert _start(task, None, "Native")[:2] == (0, ["native"])


def test_wrappers(tmp_path: Path) -> None:
    """Called with what would have been started; said as AWS says it when it cannot be."""
    root = _root(tmp_path / "dotnet", "8.0.1")
    found = Interpreter(RuntimeFamily.DOTNET, str(root / "dotnet"), "8.0.1")
    task = tmp_path / "task"
    task.mkdir()
    (task / "App.dll").write_bytes(b"")
    wrapper = tmp_path / "wrapper"
    assert _start(task, found, "App", AWS_LAMBDA_EXEC_WRAPPER=str(wrapper))[:2] == (127, [f"{wrapper}: does not exist"])
    wrapper.write_text('#!/bin/sh\necho wrapped\nexec "$@"\n')
    status, said, _ = _start(task, found, "App", AWS_LAMBDA_EXEC_WRAPPER=str(wrapper))
    assert (status, said) == (126, [f"{wrapper}: is not an executable"])
    wrapper.chmod(0o755)
    assert _start(task, found, "App", AWS_LAMBDA_EXEC_WRAPPER=str(wrapper))[1] == ["wrapped", "exec", f"{task}/App.dll"]


def test_plan() -> None:
    """INIT_START's version, the variables .NET needs, the notice of another version."""
    plan = plan_dotnet(IDENTIFIERS["dotnet8"], _version("dotnet8", "A::B::C"), _found("8.0.11"), {"X": "y"})
    assert isinstance(plan, RuntimePlan)
    assert (plan.kind.family, plan.kind.client_directory) == (RuntimeFamily.EXEC, "/c")
    assert (plan.runtime_version, plan.notice) == ("dotnet:8.v0.11", None)
    assert plan.variables == {"X": "y", "DOTNET_ROOT": "/usr/share/dotnet"}
    plan = plan_dotnet(IDENTIFIERS["dotnetcore3.1"], _version("dotnetcore3.1", "A::B::C"), _found("8.0.11"), {})
    assert isinstance(plan, RuntimePlan)
    assert plan.variables["DOTNET_ROLL_FORWARD"] == "Major"
    assert plan.notice == "dotnetcore3.1 runs on .NET 8.0.11, the nearest found here"


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, "A .NET that runs dotnet8 was not found on this machine"),
        (_found("8.0.1", None), "Amazon.Lambda.RuntimeSupport for dotnet8 was not found on this machine"),
    ],
)
def test_what_is_missing_is_said(found: Interpreter | None, text: str) -> None:
    """The StateReason names what to install, and the way around it."""
    plan = plan_dotnet(IDENTIFIERS["dotnet8"], _version("dotnet8", "A::B::C"), found, {})
    assert isinstance(plan, Unavailable)
    assert text in plan.reason
    assert "`lambent runtimes install dotnet8`" in plan.reason
    assert "provided.al2023" in plan.reason
