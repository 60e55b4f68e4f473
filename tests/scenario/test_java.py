"""Functions in Java: every kind of handler, events, context, log, errors, packages and versions."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import make_zip_bytes
from tests.runtimes import java_packages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = [pytest.mark.long, pytest.mark.slow]

_EVENT = {"customer": "Ada", "count": 2, "lines": [{"article": "tea", "price": 1.5}, {"article": "cup", "price": 2}]}
_RECEIPT = {"text": "Ada x2", "total": 3.5}


@pytest.fixture(scope="module")
def classes() -> dict[str, bytes]:
    """Class files of the example functions."""
    reason = java_packages.skip_reason()
    if reason is not None:
        pytest.skip(reason)
    jars = java_packages.libraries("aws-lambda-java-core", "aws-lambda-java-events", "joda-time")
    return java_packages.compile_java(java_packages.FIXTURES / "functions", classpath=jars)


@pytest.fixture(scope="module")
def package(classes: dict[str, bytes]) -> bytes:
    """Everything: the classes, a data file, the event classes in lib."""
    jars = java_packages.libraries("aws-lambda-java-events", "joda-time")
    files = {f"lib/{jar.name}": jar.read_bytes() for jar in jars}
    return make_zip_bytes({**classes, **files, "data/hello.txt": "hello\n"})


@pytest.fixture
def create(lambda_client: Any, package: bytes, request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """A callable handler, configuration → name of an active function, deleted afterwards."""
    names: list[str] = []

    def make(handler: str, **members: Any) -> str:
        name = f"java-{re.sub('[^a-z0-9]+', '-', request.node.name.lower())[:40]}-{len(names)}"
        configuration = {"Runtime": "java17", "MemorySize": 256, "Timeout": 20, "Code": {"ZipFile": package}, **members}
        lambda_client.create_function(
            FunctionName=name, Handler=handler, Role="arn:aws:iam::000000000000:role/test", **configuration
        )
        names.append(name)
        lambda_client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        return name

    yield make
    for name in names:
        with contextlib.suppress(lambda_client.exceptions.ResourceNotFoundException):
            lambda_client.delete_function(FunctionName=name)


def _log_with(server: LambentServer, name: str, part: str) -> str:
    """Return the log of a function's environment when it holds `part`."""
    deadline = time.monotonic() + 20
    while True:
        for path in (server.data_dir / "logs").rglob("*"):
            text = path.read_text() if name in str(path) and path.is_file() else ""
            if part in text:
                return text
        assert time.monotonic() < deadline, f"no {part} of {name}"
        time.sleep(0.05)


def _init_lines(server: LambentServer, name: str) -> str:
    """Return what the log says before the first START: it is no part of an invocation's tail."""
    return _log_with(server, name, "INIT_START").partition("START RequestId")[0]


def _invoke(client: Any, name: str, event: object = None) -> tuple[Any, str]:
    """Return the decoded payload and the log's tail."""
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail")
    payload = answer["Payload"].read()
    return json.loads(payload), base64.b64decode(answer["LogResult"]).decode()


@pytest.mark.parametrize(
    ("handler", "event", "answer"),
    [
        ("Objects", _EVENT, _RECEIPT),
        ("Objects::handleRequest", _EVENT, _RECEIPT),
        ("Objects::custom", _EVENT, "custom Ada"),
        ("Streams", {"a": "b"}, {"A": "B"}),
        ("Below", _EVENT, _RECEIPT),
        ("Below::handleRequest", _EVENT, _RECEIPT),
        ("Methods::text", "hi", "hi!"),
        ("Methods::number", 41, 42),
        ("Methods::flag", True, False),
        ("Methods::sum", [1, 2, 3], 6),
        ("Methods::order", _EVENT, _RECEIPT),
        ("Methods::orders", [_EVENT], "tea"),
        ("Methods::nothing", {"ignored": 1}, "called 1"),
        ("Methods::returnsNothing", "x", None),
        ("Methods::twice", 21, 42),
        ("Methods::streams", "x", "3"),
        ("Methods::onlyInput", "x", None),
        ("Methods::onlyOutput", "x", "out"),
        ("Methods::longest", "x", "long"),
    ],
)
def test_kinds_of_handlers(
    lambda_client: Any, create: Callable[..., str], handler: str, event: object, answer: object
) -> None:
    """Interfaces and methods, with every argument there is."""
    said, log = _invoke(lambda_client, create(f"example.Kinds${handler}"), event)
    assert said == answer, log


@pytest.mark.parametrize("handler", ["map", "onlyContext", "all"])
def test_methods_with_a_context(lambda_client: Any, create: Callable[..., str], handler: str) -> None:
    """It is the last argument, or the only one."""
    name = create(f"example.Kinds$Methods::{handler}")
    said, _ = _invoke(lambda_client, name, {"a": 1.5})
    assert said == {"map": {"a": 1.5, "function": name}, "onlyContext": name, "all": f"{name}10"}[handler]


def test_events(lambda_client: Any, create: Callable[..., str]) -> None:
    """AWS's event classes, dates and odd names included."""
    sqs = {"messageId": "m1", "body": "b", "eventSourceARN": "arn:q", "messageAttributes": {}}
    bucket = {"name": "b", "ownerIdentity": {"principalId": "p"}, "arn": "arn"}
    s3 = {
        "eventTime": "2024-01-31T12:34:56.000Z",
        "s3": {"bucket": bucket, "object": {"key": "a+b%2Fc", "size": 5, "eTag": "e", "sequencer": "s"}},
    }
    sns = {"EventSource": "aws:sns", "Sns": {"Message": "hi", "Timestamp": "2024-01-31T12:34:56.000Z"}}
    dynamo = {
        "eventName": "INSERT",
        "dynamodb": {"NewImage": {"Id": {"N": "101"}}, "ApproximateCreationDateTime": 1428537600.5},
    }
    cases: list[tuple[str, object, object]] = [
        ("Sqs", {"Records": [sqs]}, {"batchItemFailures": [{"itemIdentifier": "m1arn:q"}]}),
        ("S3", {"Records": [s3]}, "b/a b/c 2024"),
        ("Sns", {"Records": [sns]}, "hi 2024"),
        ("Dynamo", {"Records": [dynamo]}, "INSERT 101 1428537600500"),
        ("Api", {"httpMethod": "PUT", "path": "/x"}, {"statusCode": 201, "body": "PUT/x"}),
    ]
    for handler, event, answer in cases:
        said, log = _invoke(lambda_client, create(f"example.Events${handler}"), event)
        assert said == answer, (handler, log)


def test_context(lambda_client: Any, create: Callable[..., str]) -> None:
    """Every member; the environment stays the same from one invocation to the next."""
    name = create("example.Around$Contexts")
    client = {"client": {"app_title": "t", "installation_id": "i"}, "custom": {"k": "v"}, "env": {"locale": "de"}}
    answer = lambda_client.invoke(
        FunctionName=name, ClientContext=base64.b64encode(json.dumps(client).encode()).decode(), Payload="{}"
    )
    seen = json.loads(answer["Payload"].read())
    assert seen["awsRequestId"] == answer["ResponseMetadata"]["RequestId"]
    assert seen["functionName"] == name
    assert (seen["functionVersion"], seen["memoryLimitInMB"]) == ("$LATEST", 256)
    assert seen["logGroupName"] == f"/aws/lambda/{name}"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", seen["logStreamName"])
    assert seen["invokedFunctionArn"].endswith(f":function:{name}")
    assert 0 < seen["remainingTimeInMillis"] <= 20_000
    assert seen["client"]["client"] == {"installationId": "i", "appTitle": "t"}
    assert (seen["client"]["custom"], seen["client"]["environment"]) == ({"k": "v"}, {"locale": "de"})
    assert seen["logger"] is True
    assert seen["trace"].startswith("Root=1-")
    assert seen["traceOfContext"] == seen["trace"]
    assert "identity" not in seen
    assert "tenant" not in seen
    again, _ = _invoke(lambda_client, name)
    assert (seen["invocations"], again["invocations"]) == (1, 2)
    assert again["logStreamName"] == seen["logStreamName"]


def test_shutdown_hooks_run(lambda_client: Any, lambent_server: LambentServer, create: Callable[..., str]) -> None:
    """When an environment is shut down, here because its function has changed."""
    name = create("example.Around$Ending")
    assert _invoke(lambda_client, name)[0] == "registered"
    lambda_client.update_function_configuration(FunctionName=name, Description="another")
    assert "the hook ran\n" in _log_with(lambent_server, name, "the hook ran")


def test_log_lines(lambda_client: Any, create: Callable[..., str]) -> None:
    """As text: each call of the logger is a line of its own, levels in brackets."""
    _, log = _invoke(lambda_client, create("example.Around$Logs"))
    lines = log.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("START"))
    wanted = ["plain ü", "[WARN] with level", "[DEBUG] below", "bytes", "out ü", "unfinished err"]
    assert lines[start + 1 : start + 7] == wanted
    assert lines[start + 7].startswith("END")


def test_log_lines_as_json(lambda_client: Any, create: Callable[..., str]) -> None:
    """With a format of JSON the logger's lines carry level and request, below the wanted level they are left out."""
    logging = {"LogFormat": "JSON", "ApplicationLogLevel": "INFO"}
    _, log = _invoke(lambda_client, create("example.Around$Logs", LoggingConfig=logging))
    lines = [json.loads(line) for line in log.splitlines() if '"message"' in line]
    assert [(line["message"], line["level"]) for line in lines] == [("plain ü", "UNDEFINED"), ("with level", "WARN")]
    assert all(re.fullmatch(r"[0-9a-f-]{36}", line["AWSRequestId"]) for line in lines)


@pytest.mark.parametrize("own", [{}, {"JAVA_TOOL_OPTIONS": "-Dexample.property=set -XX:+UseParallelGC"}])
def test_surroundings(lambda_client: Any, create: Callable[..., str], own: dict[str, str]) -> None:
    """Variables, directories and files are the same in a waiting process and in one of the function's own."""
    variables = {"OWN": "ä", "TZ": "Europe/Berlin", **own}
    name = create("example.Around$Surroundings", Environment={"Variables": variables})
    seen, log = _invoke(lambda_client, name)
    assert isinstance(seen, dict), log
    assert "child" in seen, seen
    assert seen["child"] == "ä /var/task hello"
    assert (seen["relative"], seen["nio"], seen["resource"]) == ("hello", "hello", "hello")
    assert (seen["listed"], seen["tmp"], seen["writable"]) == (["hello.txt"], 1, False)
    assert (seen["directory"], seen["source"], seen["encoding"]) == ("/var/task", "/var/task/", "UTF-8")
    assert seen["zone"] == "Europe/Berlin"
    assert 150 < seen["heap"] < 256
    assert seen.get("property") == ("set" if own else None)
    found = seen["variables"]
    assert found["AWS_EXECUTION_ENV"] == "AWS_Lambda_java17"
    assert (found["OWN"], found["_HANDLER"]) == ("ä", "example.Around$Surroundings")
    assert {"AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_REGION", "LAMBDA_TASK_ROOT", "PATH"} < found.keys()
    assert "_X_AMZN_TRACE_ID" not in found


@pytest.mark.parametrize("runtime", ["java8", "java8.al2", "java11", "java17", "java21", "java25"])
def test_identifiers(
    lambda_client: Any, lambent_server: LambentServer, create: Callable[..., str], runtime: str
) -> None:
    """Each runs, on its own version or on the nearest, which the log names."""
    name = create("example.Around$Surroundings", Runtime=runtime)
    seen, _ = _invoke(lambda_client, name)
    log = _init_lines(lambent_server, name)
    version = re.search(r"INIT_START Runtime Version: java:(\d+)\.v", log)
    assert version is not None, log
    assert seen["version"].removeprefix("1.") == version[1]
    assert seen["variables"]["AWS_EXECUTION_ENV"] == f"AWS_Lambda_{runtime}"
    wanted = runtime.removeprefix("java").split(".")[0]
    assert (version[1] == wanted) != ("the nearest found here" in log)
    assert ("_X_AMZN_TRACE_ID" in seen["variables"]) == (wanted in ("8", "11"))


def test_waiting_processes_share_an_archive_of_classes(
    lambda_client: Any, lambent_server: LambentServer, create: Callable[..., str]
) -> None:
    """Made in the background for each virtual machine, and used by those that start later."""
    name = create("example.Around$Surroundings", Runtime="java17")
    _invoke(lambda_client, name)
    deadline = time.monotonic() + 60
    while not list((lambent_server.data_dir / "java").glob("*/runtime.jsa")):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    # Another memory size: nothing waits for it yet.
    name = create("example.Around$Surroundings", Runtime="java17", MemorySize=300)
    seen, _ = _invoke(lambda_client, name)
    assert seen["archive"] == "/var/lang/runtime.jsa"


def test_powertools(lambda_client: Any, create: Callable[..., str]) -> None:
    """Powertools for AWS Lambda, unchanged: its log, its metrics, its reading of events."""
    jars = sorted(java_packages.POWERTOOLS.glob("*.jar"))
    if not jars:
        pytest.skip("no Powertools for Java: run ./scripts/setup --test")
    source = java_packages.FIXTURES / "powertools"
    classes = java_packages.compile_java(source, classpath=jars, release=11)
    configuration = (source / "log4j2.xml").read_text()
    package = make_zip_bytes(
        {**classes, "log4j2.xml": configuration, **{f"lib/{jar.name}": jar.read_bytes() for jar in jars}}
    )
    variables = {"Variables": {"POWERTOOLS_SERVICE_NAME": "shop", "POWERTOOLS_METRICS_NAMESPACE": "Example"}}
    name = create("example.Tools", Code={"ZipFile": package}, Environment=variables, MemorySize=512, Timeout=60)
    event = {"Records": [{"messageId": "1", "body": json.dumps({"name": "tea"}), "eventSource": "aws:sqs"}]}
    for is_cold in (True, False):
        said, log = _invoke(lambda_client, name, event)
        assert said == "tea", log
        lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        (line,) = (line for line in lines if line.get("message") == "found 1")
        assert (line["service"], line["function_name"], line["cold_start"]) == ("shop", name, is_cold)
        counted = [line for line in lines if "_aws" in line]
        assert [line["Items"] for line in counted if "Items" in line] == [1.0]
        assert any("ColdStart" in line for line in counted) == is_cold


def test_without_isolation(lambent_server_factory: ServerFactory, package: bytes) -> None:
    """At level 0 a virtual machine starts when its function does, in the directory of its code."""
    client = lambent_server_factory({"isolation.level": "L0"}).client()
    client.create_function(
        FunctionName="plain",
        Runtime="java17",
        Handler="example.Around$Surroundings",
        Role="arn:aws:iam::000000000000:role/test",
        Code={"ZipFile": package},
        MemorySize=256,
        Timeout=20,
        Environment={"Variables": {"OWN": "ä", "TZ": "Europe/Berlin"}},
    )
    client.get_waiter("function_active_v2").wait(FunctionName="plain", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    seen, log = _invoke(client, "plain")
    assert "child" in seen, log
    assert (seen["relative"], seen["nio"], seen["resource"]) == ("hello", "hello", "hello")
    assert seen["child"] == f"ä {seen['directory']} hello"
    assert (seen["zone"], seen["encoding"]) == ("Europe/Berlin", "UTF-8")


def test_errors(lambda_client: Any, create: Callable[..., str]) -> None:
    """Message, type, stack trace without the runtime's own frames, cause."""
    name = create("example.Faults$Chosen")
    said, log = _invoke(lambda_client, name, {"fault": "cause"})
    assert (said["errorMessage"], said["errorType"]) == ("outer", "java.lang.IllegalStateException")
    assert said["stackTrace"][0].startswith("example.Faults$Chosen.handleRequest(Faults.java:")
    assert not any("lambent" in frame for frame in said["stackTrace"])
    assert (said["cause"]["errorMessage"], said["cause"]["errorType"]) == (
        "inner",
        "java.lang.IllegalArgumentException",
    )
    assert "outer: java.lang.IllegalStateException\njava.lang.IllegalStateException: outer\n" in log
    assert "Caused by: java.lang.IllegalArgumentException: inner\n" in log
    said, _ = _invoke(lambda_client, name, {"fault": "no message"})
    assert said["errorMessage"] == said["errorType"] == "java.lang.NullPointerException"
    said, _ = _invoke(lambda_client, name, {"fault": "error"})
    assert (said["errorMessage"], said["errorType"]) == ("an error", "java.lang.AssertionError")
    said, _ = _invoke(lambda_client, name, {"fault": "cyclic"})
    assert said["errorMessage"] == "An error occurred during JSON serialization of response"
    said, _ = _invoke(lambda_client, name, ["no", "map"])
    assert (said["errorMessage"], said["errorType"]) == (
        "An error occurred during JSON parsing",
        "java.lang.RuntimeException",
    )
    assert said["stackTrace"] == []
    assert _invoke(lambda_client, name, {"fault": "none"})[0] == "fine"


@pytest.mark.parametrize(
    ("handler", "text", "kind"),
    [
        ("example.NoSuch", "Class not found: example.NoSuch", "java.lang.ClassNotFoundException"),
        ("example.Kinds$Methods::noSuch", "No public method named noSuch with appropriate method signature found on "
         "class example.Kinds$Methods", None),
        ("example.Faults$NoHandler::two", "No public method named two with appropriate method signature found on class "
         "example.Faults$NoHandler", None),
        ("example.Faults$NoHandler", "Class does not implement an appropriate handler interface: "
         "example.Faults$NoHandler", None),
        ("example.Faults$NoConstructor", "Class example.Faults$NoConstructor has no public zero-argument constructor",
         "java.lang.Exception"),
        ("example.Faults$Constructor", "not today", "java.lang.IllegalStateException"),
        ("example.Faults$Initializer", "Error loading class example.Faults$Initializer",
         "java.lang.ExceptionInInitializerError"),
    ],
)  # fmt: skip
def test_handlers_that_cannot_be_loaded(
    lambda_client: Any, create: Callable[..., str], handler: str, text: str, kind: str | None
) -> None:
    """AWS's sentences, at every invocation."""
    name = create(handler)
    for _ in range(2):
        said, log = _invoke(lambda_client, name)
        assert said["errorMessage"] == text, log
        assert said.get("errorType") == kind


def test_processes_that_end(lambda_client: Any, create: Callable[..., str]) -> None:
    """An exit, a full heap, too much memory: told as on AWS, and the next invocation finds a new process."""
    name = create("example.Faults$Chosen", MemorySize=512, Timeout=30)
    said, log = _invoke(lambda_client, name, {"fault": "exit"})
    assert said["errorType"] == "Runtime.ExitError"
    assert said["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert "leaving\n" in log
    said, log = _invoke(lambda_client, name, {"fault": "heap"})
    assert (said["errorType"], said["errorMessage"]) == ("java.lang.OutOfMemoryError", "Java heap space"), log
    assert _invoke(lambda_client, name, {"fault": "none"})[0] == "fine"
    said, log = _invoke(lambda_client, name, {"fault": "memory"})
    assert said["errorType"] == "Runtime.OutOfMemory", log
    said, log = _invoke(lambda_client, name, {"fault": "deep"})
    assert said["errorType"] == "java.lang.StackOverflowError"
    assert _invoke(lambda_client, name, {"fault": "none"})[0] == "fine"


@pytest.mark.parametrize("fault", ["sleep", "stop"])
def test_time_outs(lambda_client: Any, create: Callable[..., str], fault: str) -> None:
    """A virtual machine that is stopped runs out of time like one that sleeps."""
    name = create("example.Faults$Chosen", Timeout=2)
    said, _ = _invoke(lambda_client, name, {"fault": fault})
    assert said["errorType"] == "Sandbox.Timedout"
    assert _invoke(lambda_client, name, {"fault": "none"})[0] == "fine"


def test_large_payloads(lambda_client: Any, create: Callable[..., str]) -> None:
    """Six megabytes in and out."""
    name = create("example.Kinds$Methods::text", MemorySize=512)
    text = "ä" * 2_900_000
    answer = lambda_client.invoke(FunctionName=name, Payload=json.dumps(text, ensure_ascii=False).encode())
    assert json.loads(answer["Payload"].read()) == text + "!"


def test_a_jar_as_package(lambda_client: Any, create: Callable[..., str], classes: dict[str, bytes]) -> None:
    """Classes at the top, jars in lib; jars in lib and nothing else."""
    jar = make_zip_bytes({"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\r\n\r\n", **classes})
    assert _invoke(lambda_client, create("example.Kinds$Objects", Code={"ZipFile": jar}), _EVENT)[0] == _RECEIPT
    nested = make_zip_bytes({"lib/functions.jar": jar})
    assert _invoke(lambda_client, create("example.Kinds$Objects", Code={"ZipFile": nested}), _EVENT)[0] == _RECEIPT


def test_a_mapping_of_the_packages_own(
    lambda_client: Any, create: Callable[..., str], classes: dict[str, bytes]
) -> None:
    """A service of the interface that AWS's library names; two of them are a mistake."""
    service = "META-INF/services/com.amazonaws.services.lambda.runtime.CustomPojoSerializer"
    package = make_zip_bytes({**classes, service: "example.OwnMapping\n"})
    said, log = _invoke(lambda_client, create("example.Kinds$Objects", Code={"ZipFile": package}), {"a": 1})
    assert said == "own Order8 x0", log
    package = make_zip_bytes({**classes, service: "example.OwnMapping\nexample.OwnMapping$Second\n"})
    said, _ = _invoke(lambda_client, create("example.Kinds$Objects", Code={"ZipFile": package}), {})
    assert "only one is allowed" in said["errorMessage"]


def test_a_layer_with_jars(lambda_client: Any, create: Callable[..., str], classes: dict[str, bytes]) -> None:
    """Found below java/lib, after the package's own."""
    jar = make_zip_bytes(dict(classes))
    layer = lambda_client.publish_layer_version(
        LayerName="java-classes", Content={"ZipFile": make_zip_bytes({"java/lib/functions.jar": jar})}
    )["LayerVersionArn"]
    own = make_zip_bytes({"readme.txt": "no classes here"})
    name = create("example.Kinds$Objects", Code={"ZipFile": own}, Layers=[layer])
    assert _invoke(lambda_client, name, _EVENT)[0] == _RECEIPT
    files = make_zip_bytes({**classes, "data/hello.txt": "mine\n"})
    name = create("example.Around$Surroundings", Code={"ZipFile": files}, Layers=[layer])
    seen, _ = _invoke(lambda_client, name)
    assert (seen["source"], seen["relative"]) == ("/var/task/", "mine")


def test_the_official_client(lambda_client: Any, create: Callable[..., str], classes: dict[str, bytes]) -> None:
    """AWS's own runtime interface client, unchanged, over the same door."""
    script = (
        '#!/bin/sh\nexec "$1" -Xshare:auto -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "/var/task:/var/task/lib/*" '
        'com.amazonaws.services.lambda.runtime.api.client.AWSLambda "$_HANDLER"\n'
    )
    jars = {f"lib/{jar.name}": jar.read_bytes() for jar in java_packages.libraries()}
    package = make_zip_bytes({**classes, **jars, "official": (script, 0o755)})
    variables = {"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/official"}}
    for handler, event, answer in (
        ("example.Kinds$Objects", _EVENT, _RECEIPT),
        ("example.Kinds$Streams", {"a": "b"}, {"A": "B"}),
    ):
        name = create(handler, Code={"ZipFile": package}, Environment=variables, MemorySize=512)
        said, log = _invoke(lambda_client, name, event)
        assert said == answer, log
    name = create("example.Faults$Chosen", Code={"ZipFile": package}, Environment=variables, MemorySize=512)
    said, _ = _invoke(lambda_client, name, {"fault": "no message"})
    assert said["errorType"] == "java.lang.NullPointerException"
