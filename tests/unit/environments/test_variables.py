"""What the runtime finds in its environment, and which of it the function may change."""

from __future__ import annotations

from msgspec.structs import replace

from lambent.environments.variables import EnvironmentFacts, environment_variables
from lambent.model.caller import Credentials
from lambent.model.environment import InitializationType
from lambent.model.function import CodeReference, FunctionVersion, LogFormat, LoggingConfig

VERSION = FunctionVersion(
    account_id="000000000000",
    region="eu-west-1",
    name="f",
    role="r",
    code=CodeReference("0" * 64, 1, 1),
    configuration_id="c",
    revision_id="r",
    last_modified_ms=0,
    handler="index.handler",
    memory_mib=256,
)
FACTS = EnvironmentFacts(
    runtime_api="127.0.0.1:9001",
    endpoint="127.0.0.1:4566",
    log_stream="2026/01/01/[$LATEST]0",
    initialization_type=InitializationType.ON_DEMAND,
    credentials=Credentials("ASIA", "secret", "000000000000", "token"),
    runtime_variables={"AWS_EXECUTION_ENV": "AWS_Lambda_python3.11"},
    interpreter_directory="/usr/bin",
)


def test_reserved_variables() -> None:
    variables = environment_variables(VERSION, FACTS)
    expected = {
        "_HANDLER": "index.handler",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]0",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_ACCESS_KEY_ID": "ASIA",
        "AWS_SESSION_TOKEN": "token",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "TZ": ":UTC",
    }
    assert {name: variables[name] for name in expected} == expected
    assert variables["PATH"].startswith("/usr/bin:")


def test_the_function_changes_what_is_not_reserved() -> None:
    mine = {"TZ": "Europe/Berlin", "AWS_ENDPOINT_URL": "http://elsewhere", "AWS_REGION": "mine"}
    variables = environment_variables(replace(VERSION, environment=mine), FACTS)
    assert variables["TZ"] == "Europe/Berlin"
    assert variables["AWS_ENDPOINT_URL"] == "http://elsewhere"
    assert variables["AWS_REGION"] == "eu-west-1"


def test_json_logging() -> None:
    logging = LoggingConfig(LogFormat.JSON, application_log_level="DEBUG")
    variables = environment_variables(replace(VERSION, logging=logging), FACTS)
    assert (variables["AWS_LAMBDA_LOG_FORMAT"], variables["AWS_LAMBDA_LOG_LEVEL"]) == ("JSON", "DEBUG")
    assert "AWS_LAMBDA_LOG_LEVEL" not in environment_variables(VERSION, FACTS)


def test_what_brings_its_own_certificates_is_told_of_the_sandboxs() -> None:
    named = FACTS._replace(has_aws_names=True)
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    python = environment_variables(replace(VERSION, runtime="python3.13"), named)
    assert [python[name] for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")] == [bundle] * 3
    own = replace(VERSION, runtime="python3.13", environment={"AWS_CA_BUNDLE": "/var/task/own.pem"})
    assert environment_variables(own, named)["AWS_CA_BUNDLE"] == "/var/task/own.pem"
    nodejs = environment_variables(replace(VERSION, runtime="nodejs22.x"), named)
    assert nodejs["NODE_EXTRA_CA_CERTS"] == "/etc/ssl/certs/lambent-amazonaws.pem"
    # AWS's SDK for Go takes AWS_CA_BUNDLE for an order to change its transport.
    for runtime in ("provided.al2023", "java21", "ruby3.3", None):
        variables = environment_variables(replace(VERSION, runtime=runtime), named)
        assert not [name for name in variables if "CERT" in name or "BUNDLE" in name]
