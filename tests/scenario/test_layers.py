"""Layers through the public API, really mounted: imports, order, bootstraps, wrappers; what outlives a deletion."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.running import create_function, invoke, make_zip_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import ServerFactory

pytestmark = pytest.mark.slow

_ROLE = "arn:aws:iam::000000000000:role/test"


def publish(client: Any, name: str, files: dict[str, Any], **members: Any) -> str:
    """Publish a layer version and return its ARN."""
    answer = client.publish_layer_version(LayerName=name, Content={"ZipFile": make_zip_bytes(files)}, **members)
    return str(answer["LayerVersionArn"])


def create(client: Any, name: str, files: dict[str, Any], **members: Any) -> None:
    """Create a function of any runtime and wait until it is active."""
    request = {"Role": _ROLE, "Code": {"ZipFile": make_zip_bytes(files)}, "Timeout": 20, **members}
    client.create_function(FunctionName=name, **request)
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def test_a_python_function_imports_from_a_layer(lambda_client: Any) -> None:
    layer = publish(lambda_client, "shared-python", {"python/shared.py": "def greet(name): return 'hello ' + name\n"})
    code = "import shared\ndef handler(event, context):\n    return shared.greet(event)\n"
    created = create_function(lambda_client, "layered-python", {"index.py": code}, Layers=[layer])
    assert created["Layers"][0]["Arn"] == layer
    assert created["Layers"][0]["CodeSize"] > 0
    assert invoke(lambda_client, "layered-python", "you") == "hello you"


def test_the_declared_version_finds_its_part_of_a_layer(lambda_client: Any) -> None:
    files = {f"python/lib/python3.{n}/site-packages/made_for.py": f"VERSION = '3.{n}'\n" for n in (7, 12)}
    layer = publish(lambda_client, "by-version", files)
    code = "import made_for\ndef handler(event, context):\n    return made_for.VERSION\n"
    for number in (7, 12):
        name = f"made-for-{number}"
        create_function(lambda_client, name, {"index.py": code}, Layers=[layer], Runtime=f"python3.{number}")
        assert invoke(lambda_client, name) == f"3.{number}", "whatever interpreter this machine has"


def test_the_function_s_own_module_wins_over_a_layer_s(lambda_client: Any) -> None:
    layer = publish(lambda_client, "shadowed", {"python/same.py": "WHERE = 'layer'\n"})
    files = {"index.py": "import same\ndef handler(event, context):\n    return same.WHERE\n"}
    create_function(lambda_client, "shadowing", {**files, "same.py": "WHERE = 'package'\n"}, Layers=[layer])
    assert invoke(lambda_client, "shadowing") == "package"


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_shared_libraries_of_a_layer_are_found(lambda_client: Any, tmp_path: Path) -> None:
    library, needing = tmp_path / "libanswer.so", tmp_path / "libneeding.so"
    for target, source, flags in (
        (library, "int answer(void) { return 42; }", ()),
        (needing, "int answer(void); int half(void) { return answer() / 2; }", ("-L", str(tmp_path), "-lanswer")),
    ):
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-x", "none", *flags, "-o", str(target)]
        subprocess.run(command, input=source.encode(), check=True)
    layer = publish(lambda_client, "native", {"lib/libanswer.so": (library.read_bytes(), 0o755)})
    code = "import ctypes\ndef handler(event, context):\n    return ctypes.CDLL('libneeding.so').half()\n"
    files = {"index.py": code, "lib/libneeding.so": (needing.read_bytes(), 0o755)}
    create(lambda_client, "needing", files, Runtime="python3.11", Handler="index.handler", Layers=[layer])
    assert invoke(lambda_client, "needing") == 21


def test_a_node_function_requires_from_a_layer(lambda_client: Any) -> None:
    layer = publish(lambda_client, "shared-node", {"nodejs/node_modules/shared/index.js": "exports.n = 41;\n"})
    code = "const shared = require('shared');\nexports.handler = async () => shared.n + 1;\n"
    create(lambda_client, "layered-node", {"index.js": code}, Runtime="nodejs20.x", Handler="index.handler",
           Layers=[layer])  # fmt: skip
    assert invoke(lambda_client, "layered-node") == 42


# Only bash: a machine need not have curl.
BOOTSTRAP = """#!/bin/bash
host=${AWS_LAMBDA_RUNTIME_API%:*} port=${AWS_LAMBDA_RUNTIME_API#*:}
api=/2018-06-01/runtime/invocation
ask() {
  exec 3<>"/dev/tcp/$host/$port"
  printf '%s %s HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: %d\\r\\n\\r\\n%s' "$1" "$2" "${#3}" "$3" >&3
  while IFS= read -r line <&3; do
    line=${line%$'\\r'}
    [ -z "$line" ] && break
    case ${line,,} in lambda-runtime-aws-request-id:*) id=${line#*: } ;; esac
  done
  exec 3>&-
}
while true; do
  ask GET "$api/next" ""
  ask POST "$api/$id/response" "\\"$0 with $(</var/task/$_HANDLER)\\""
done
"""


def test_a_layer_brings_the_bootstrap_of_a_custom_runtime(lambda_client: Any) -> None:
    layer = publish(lambda_client, "shell-runtime", {"bootstrap": (BOOTSTRAP, 0o755)})
    create(lambda_client, "layered-custom", {"words.txt": "words"}, Runtime="provided.al2023", Handler="words.txt",
           Layers=[layer])  # fmt: skip
    assert invoke(lambda_client, "layered-custom") == "/opt/bootstrap with words"


def test_an_exec_wrapper_from_a_layer_starts_the_runtime(lambda_client: Any) -> None:
    wrapper = '#!/bin/sh\nexport WRAPPED="by $0"\nexec "$@"\n'
    layer = publish(lambda_client, "wrapper", {"wrapper": (wrapper, 0o755)})
    code = "import os\ndef handler(event, context):\n    return os.environ['WRAPPED']\n"
    variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"}
    create_function(
        lambda_client, "wrapped", {"index.py": code}, Layers=[layer], Environment={"Variables": variables}, Timeout=20
    )
    assert invoke(lambda_client, "wrapped") == "by /opt/wrapper"


SHOW = """
import os, subprocess
def handler(event, context):
    try:
        open("/opt/new", "w")
        written = True
    except OSError as error:
        written = error.strerror
    return {
        "both": open("/opt/both").read(),
        "names": sorted(os.listdir("/opt")),
        "deep": sorted(os.listdir("/opt/deep")),
        "kind": os.path.isdir("/opt/kind"),
        "link": os.readlink("/opt/link"),
        "tool": subprocess.run(["tool"], capture_output=True, text=True).stdout,
        "written": written,
    }
"""


def test_later_layers_win_and_opt_is_read_only(lambda_client: Any) -> None:
    first = publish(
        lambda_client,
        "first",
        {
            "both": "first",
            "kind": "a file",
            "deep/one": "1",
            "bin/tool": ("#!/bin/sh\nprintf first\n", 0o755),
            "link": ("both", 0o120777),
        },
    )
    second = publish(
        lambda_client,
        "second",
        {"both": "second", "kind/inside": "x", "deep/two": "2", "bin/tool": ("#!/bin/sh\nprintf second\n", 0o755)},
    )
    create_function(lambda_client, "order", {"index.py": SHOW}, Layers=[first, second])
    shown = invoke(lambda_client, "order")
    assert shown == {
        "both": "second",
        "names": ["bin", "both", "deep", "kind", "link"],
        "deep": ["one", "two"],
        "kind": True,
        "link": "both",
        "tool": "second",
        "written": "Read-only file system",
    }
    lambda_client.update_function_configuration(FunctionName="order", Layers=[second, first])
    lambda_client.get_waiter("function_updated_v2").wait(FunctionName="order")
    turned = invoke(lambda_client, "order")
    assert (turned["both"], turned["kind"], turned["tool"]) == ("first", False, "first")


def test_a_function_keeps_its_layer_when_the_version_is_deleted(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory()
    client = server.client()
    layers = [publish(client, name, {f"python/{name}.py": f"WHO = '{name}'\n"}) for name in ("ada", "bob")]
    code = "import ada, bob\ndef handler(event, context):\n    return ada.WHO + bob.WHO\n"
    create_function(client, "keeper", {"index.py": code}, Layers=layers)
    assert invoke(client, "keeper") == "adabob"
    client.delete_layer_version(LayerName="ada", VersionNumber=1)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_layer_version(LayerName="ada", VersionNumber=1)
    configuration = client.get_function_configuration(FunctionName="keeper")
    assert [layer["Arn"] for layer in configuration["Layers"]] == layers
    server.kill()
    server.start()
    assert invoke(client, "keeper") == "adabob"
    with pytest.raises(ClientError, match=r"Layer version .*ada:1 does not exist"):
        client.update_function_configuration(FunctionName="keeper", Layers=layers[:1])
    client.update_function_configuration(FunctionName="keeper", Layers=[])
    client.get_waiter("function_updated_v2").wait(FunctionName="keeper")
    assert "Layers" not in client.get_function_configuration(FunctionName="keeper")
    answer = client.invoke(FunctionName="keeper")
    assert json.loads(answer["Payload"].read())["errorType"] == "Runtime.ImportModuleError"


def test_a_layer_crosses_accounts_once_it_is_permitted(lambda_client: Any, lambent_server: Any) -> None:
    layer = publish(lambda_client, "lent", {"python/lent.py": "VALUE = 7\n"})
    other = lambent_server.client(access_key="222222222222")
    code = {"index.py": "import lent\ndef handler(event, context):\n    return lent.VALUE\n"}
    with pytest.raises(ClientError) as refused:
        create_function(other, "borrower", code, Layers=[layer])
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    lambda_client.add_layer_version_permission(
        LayerName="lent",
        VersionNumber=1,
        StatementId="others",
        Action="lambda:GetLayerVersion",
        Principal="222222222222",
    )
    create_function(other, "borrower", code, Layers=[layer])
    assert invoke(other, "borrower") == 7
    assert other.get_layer_version_by_arn(Arn=layer)["Version"] == 1


def test_layers_without_isolation(lambent_server_factory: ServerFactory) -> None:
    client = lambent_server_factory({"isolation.level": "L0"}).client()
    python = publish(client, "python", {"python/shared.py": "N = 1\n"})
    node = publish(client, "node", {"nodejs/node_modules/shared/index.js": "exports.n = 2;\n"})
    shell = publish(client, "shell", {"bootstrap": (BOOTSTRAP, 0o755)})
    # Two layers each, so that the merged tree is what is found.
    code = (
        "import os, shared\ndef handler(event, context):\n"
        "    return shared.N, [name for name in os.environ if name.startswith('LAMBENT')]\n"
    )
    create_function(client, "python", {"index.py": code}, Layers=[python, node])
    assert invoke(client, "python") == [1, []]
    script = "const shared = require('shared');\nexports.handler = async () => shared.n;\n"
    create(client, "node", {"index.js": script}, Runtime="nodejs20.x", Handler="index.handler", Layers=[node, python])
    assert invoke(client, "node") == 2
    create(client, "custom", {"words.txt": "words"}, Runtime="provided.al2023", Handler="words.txt", Layers=[shell])
    assert "/bootstrap with" in invoke(client, "custom")
