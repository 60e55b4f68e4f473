"""What the runtime finds in its environment. Source: developer guide, "Defined runtime environment variables"."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lambent.model.function import LogFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.model.caller import Credentials
    from lambent.model.environment import InitializationType
    from lambent.model.function import FunctionVersion

SEARCH_PATH = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"
_LIBRARY_PATH = "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"

_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# For what brings its own certificates and does not look for the machine's: botocore, requests, httpx; Node.js itself.
# A function's own values win, and nothing is set that AWS's SDKs of other languages take for more than that.
_TRUST = {
    "python": {"AWS_CA_BUNDLE": _BUNDLE, "REQUESTS_CA_BUNDLE": _BUNDLE, "SSL_CERT_FILE": _BUNDLE},
    "nodejs": {"NODE_EXTRA_CA_CERTS": "/etc/ssl/certs/lambent-amazonaws.pem"},
}
_OF_IMAGE = ("LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR")


class EnvironmentFacts(NamedTuple):
    """What the variables say beside the function's configuration.

    `runtime_api` and `endpoint` are host:port as seen from inside. `interpreter_directory` is the directory of the
    interpreter's executable, put first on PATH. `runtime_variables` are those of the runtime family, or with
    `is_rooted` those of the image that is the root: it says itself where its libraries, task and runtime are. With
    `has_aws_names` AWS's names lead to us inside, under certificates that the files of the sandbox vouch for.
    """

    runtime_api: str
    endpoint: str | None
    log_stream: str
    initialization_type: InitializationType
    credentials: Credentials
    runtime_variables: Mapping[str, str]
    interpreter_directory: str | None = None
    is_rooted: bool = False
    has_aws_names: bool = False


def environment_variables(version: FunctionVersion, facts: EnvironmentFacts) -> dict[str, str]:
    """Return the complete environment of the runtime process; the function's own variables win where AWS lets them."""
    variables = {
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PATH": SEARCH_PATH,
        "LD_LIBRARY_PATH": _LIBRARY_PATH,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        "_AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1",
        "_AWS_XRAY_DAEMON_PORT": "2000",
    }
    if facts.interpreter_directory is not None:
        variables["PATH"] = facts.interpreter_directory + ":" + variables["PATH"]
    if facts.endpoint is not None:
        variables["AWS_ENDPOINT_URL"] = f"http://{facts.endpoint}"
    if facts.has_aws_names:
        variables |= next((trust for name, trust in _TRUST.items() if (version.runtime or "").startswith(name)), {})
    if facts.is_rooted:
        del variables["LD_LIBRARY_PATH"]
    variables.update(facts.runtime_variables)
    variables.update(version.environment)
    variables.update(_reserved(version, facts))
    if facts.is_rooted:
        variables |= {name: facts.runtime_variables[name] for name in _OF_IMAGE if name in facts.runtime_variables}
    return variables


# Source: developer guide, "Lambda Extensions API", reserved environment variables that extensions do not see.
_NOT_FOR_EXTENSIONS = frozenset(
    {
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_XRAY_CONTEXT_MISSING",
        "AWS_XRAY_DAEMON_ADDRESS",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)


def extension_variables(variables: Mapping[str, str], facts: EnvironmentFacts) -> dict[str, str]:
    """Return the environment of external extensions: the runtime's, without what is for the runtime alone."""
    own = facts.runtime_variables
    return {
        name: value
        for name, value in variables.items()
        if not name.startswith("_") and name not in _NOT_FOR_EXTENSIONS and own.get(name) != value
    }


def _reserved(version: FunctionVersion, facts: EnvironmentFacts) -> dict[str, str]:
    credentials = facts.credentials
    variables = {
        "AWS_LAMBDA_FUNCTION_NAME": version.name,
        "AWS_LAMBDA_FUNCTION_VERSION": version.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(version.memory_mib),
        "AWS_LAMBDA_LOG_GROUP_NAME": version.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": facts.log_stream,
        "AWS_LAMBDA_INITIALIZATION_TYPE": facts.initialization_type.value,
        "AWS_LAMBDA_RUNTIME_API": facts.runtime_api,
        "AWS_REGION": version.region,
        "AWS_DEFAULT_REGION": version.region,
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "LAMBDA_TASK_ROOT": "/var/task",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
    }
    if credentials.session_token is not None:
        variables["AWS_SESSION_TOKEN"] = credentials.session_token
    if version.handler is not None:
        variables["_HANDLER"] = version.handler
    if version.logging.log_format is LogFormat.JSON:
        variables["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        variables["AWS_LAMBDA_LOG_LEVEL"] = version.logging.application_log_level or "INFO"
    else:
        variables["AWS_LAMBDA_LOG_FORMAT"] = "Text"
    return variables
