"""Any operation of any service, from parameters as AWS's SDKs take them to a request: botocore's serializers do it.

botocore and a service's description are loaded by the first call: they take a fifth of a second and some MB.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

# Names of services in AWS's SDKs where they are not those of botocore. Source: EventBridge Scheduler user guide,
# "Using universal targets": the SDK's name of the service in lower case.
_SDK_NAMES = {
    "sfn": "stepfunctions",
    "eventbridge": "events",
    "cloudwatchlogs": "logs",
    "cognitoidentityprovider": "cognito-idp",
    "cognitoidentity": "cognito-identity",
    "elasticloadbalancingv2": "elbv2",
    "resourcegroupstaggingapi": "resourcegroupstaggingapi",
    "applicationautoscaling": "application-autoscaling",
    "rdsdata": "rds-data",
    "emrserverless": "emr-serverless",
    "redshiftdata": "redshift-data",
    "iotdataplane": "iot-data",
    "ses": "ses",
    "sesv2": "sesv2",
    "databasemigration": "dms",
    "costexplorer": "ce",
}


class UnknownOperationError(ValueError):
    """There is no such service or operation, or its parameters are not what it takes."""


class SdkRequest(NamedTuple):
    """A request to be signed and sent to `asked`, the service's name on AWS's command line."""

    asked: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


def serialized(service: str, action: str, parameters: Mapping[str, Any]) -> SdkRequest:
    """Return the request of an operation; `action` begins with a small letter (sendMessage).

    Raises:
        UnknownOperationError: no such service, operation or parameter.
    """
    from botocore.exceptions import ParamValidationError
    from botocore.serialize import create_serializer
    from botocore.validate import ParamValidator

    asked, model = _model(service)
    name = action[:1].upper() + action[1:]
    if name not in model.operation_names:
        raise UnknownOperationError(f"{service} has no operation {action[:100]}.")
    operation = model.operation_model(name)
    report = ParamValidator().validate(dict(parameters), operation.input_shape) if operation.input_shape else None
    if report is not None and report.has_errors():
        raise UnknownOperationError(report.generate_report())
    try:
        made = create_serializer(model.metadata["protocol"]).serialize_to_request(dict(parameters), operation)
    except ParamValidationError as error:
        raise UnknownOperationError(str(error)) from error
    body = made["body"]
    headers = {key.lower(): str(value) for key, value in made["headers"].items()}
    if isinstance(body, dict):
        body = urlencode(body, doseq=True)
        headers.setdefault("content-type", "application/x-www-form-urlencoded; charset=utf-8")
    data = body.encode() if isinstance(body, str) else bytes(body or b"")
    path, _, inner = made["url_path"].partition("?")
    query = made["query_string"]
    pairs = urlencode(query, doseq=True, quote_via=quote) if isinstance(query, dict) else str(query or "")
    return SdkRequest(asked, made["method"], path or "/", "&".join(filter(None, (inner, pairs))), headers, data)


@lru_cache(maxsize=16)
def _model(service: str) -> tuple[str, Any]:
    from botocore.exceptions import DataNotFoundError, UnknownServiceError
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    name = _SDK_NAMES.get(service, service)
    try:
        return name, ServiceModel(Loader().load_service_model(name, "service-2"), name)
    except (UnknownServiceError, DataNotFoundError) as error:
        raise UnknownOperationError(f"There is no service {service[:100]}.") from error
