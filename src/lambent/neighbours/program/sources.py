"""Who calls, service by service: what MiniStack's modules are told to say of themselves, and what they lack.

Each participant is given the bridge and its module once the module is loaded. Events take AWS's form where MiniStack's
differs. Alarms and rotations, of which MiniStack knows the configuration alone, call their functions from here.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.neighbours.program.bridge import Bridge, Source

    Event = Any
    Record = dict[str, Any]

_log = logging.getLogger("ministack")

# Source: S3 user guide, "Event message structure": versions by the kind of event. Recorded: 2.1 for ObjectCreated:Put.
_S3_VERSIONS = (
    ("Replication:", "2.2"), ("LifecycleExpiration:", "2.3"), ("LifecycleTransition", "2.3"), ("IntelligentTiering", "2.3"),
    ("ObjectAcl:", "2.3"), ("ObjectTagging:", "2.3"), ("ObjectRestore:Delete", "2.3"),
)  # fmt: skip
_ROTATION_STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
# Recorded (test_secretsmanager.json).
_CANNOT_ROTATE = (
    "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the "
    "principal secretsmanager.amazonaws.com."
)
_NO_ROTATION = "No Lambda rotation function ARN is associated with this secret."
_ALARMS = "lambda.alarms.cloudwatch.amazonaws.com"


def s3(bridge: Bridge, module: Any) -> None:
    """Notifications: the bucket calls, for its owner."""

    def of_bucket(bucket: str) -> Source:
        account = module._bucket_owner_account(bucket) or module.get_account_id()
        return bridge.caller("s3")._replace(arn=f"arn:aws:s3:::{bucket}", account=account)

    deliver = module._deliver_event_to_lambda

    def deliver_as_bucket(arn: str, payload: Event, region: str) -> None:
        [record] = payload["Records"]
        name = record["eventName"]
        version = next((version for start, version in _S3_VERSIONS if name.startswith(start)), "2.1")
        shown = {**record, "eventVersion": version}
        with bridge.calling(of_bucket(record["s3"]["bucket"]["name"])):
            deliver(arn, {"Records": [shown]}, region)

    validate = module._validate_notification_configs

    def validate_with_permissions(
        configs: list[Record], region: str, bucket_name: str = "", skip_destination_validation: bool = False
    ) -> Any:
        refused = validate(configs, region, bucket_name, skip_destination_validation)
        if refused or skip_destination_validation:
            return refused
        source = of_bucket(bucket_name)
        arns = [one["arn"] for one in configs if one["type"] == "lambda"]
        bad = [arn for arn in arns if not bridge.is_permitted(arn, source)]
        if not bad:
            return None
        # Recorded (test_s3_notifications_lambda.json).
        extra: dict[str, str] = {}
        for number, arn in enumerate(bad, 1):
            extra[f"ArgumentName{number}"] = f"{arn}, null"
            extra[f"ArgumentValue{number}"] = f"Not authorized to invoke function [{arn}]"
        text = "Unable to validate the following destination configurations"
        return module._error("InvalidArgument", text, 400, extra=extra)

    vars(module)["_deliver_event_to_lambda"] = deliver_as_bucket
    vars(module)["_validate_notification_configs"] = validate_with_permissions
    vars(module)["threading"] = bridge.threads({module._fire_s3_event})


def sns(bridge: Bridge, module: Any) -> None:
    """Notifications: the topic calls; a subscription's dead-letter queue takes what cannot be delivered."""

    def deliver(endpoint: str, envelope: str, topic_arn: str, subscription_arn: str, *_rest: object) -> None:
        said = json.loads(envelope) if envelope.startswith("{") else {}
        if said.get("Type") != "Notification":
            # RawMessageDelivery means nothing to functions.
            said = json.loads(module._build_envelope(topic_arn, str(_rest[0]), _rest[1], "", _rest[2], False))
        account = topic_arn.split(":")[4]
        source = bridge.caller("sns")._replace(
            arn=topic_arn, account=account, dead_letter=_redrive_target(module, topic_arn, subscription_arn)
        )
        record = {
            "EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": subscription_arn,
            "Sns": _notification(said, subscription_arn),
        }  # fmt: skip
        bridge.start(endpoint, source, {"Records": [record]})

    vars(module)["_deliver_to_lambda"] = deliver
    vars(module)["_threading"] = bridge.threads({deliver})


def _notification(said: Record, subscription_arn: str) -> Record:
    """Return a notification as functions get it. Source: recorded (sns/test_sns.json, lambda subscriptions)."""
    region = subscription_arn.split(":")[3]
    unsubscribe = f"https://sns.{region}.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={subscription_arn}"
    return {
        "Type": "Notification", "MessageId": said["MessageId"], "TopicArn": said["TopicArn"],
        "Subject": said.get("Subject"), "Message": said["Message"], "Timestamp": said["Timestamp"],
        "SignatureVersion": said["SignatureVersion"], "Signature": said["Signature"],
        "SigningCertUrl": said["SigningCertURL"], "UnsubscribeUrl": unsubscribe,
        "MessageAttributes": said.get("MessageAttributes", {}),
    }  # fmt: skip


def _redrive_target(module: Any, topic_arn: str, subscription_arn: str) -> str:
    topic = module._topic_by_arn_any_scope(topic_arn) or {}
    for subscription in topic.get("subscriptions", ()):
        if subscription.get("arn") == subscription_arn:
            policy = (subscription.get("attributes") or {}).get("RedrivePolicy") or "{}"
            with contextlib.suppress(ValueError, AttributeError):
                return str(json.loads(policy).get("deadLetterTargetArn", ""))
    return ""


def eventbridge(bridge: Bridge, module: Any) -> None:
    """Events: the rule calls; a target's dead-letter queue takes what cannot be delivered."""

    def of_rule(target: Record, _event: Event, rule: Record, _view: object = None) -> Source:
        rule_arn, target_arn = rule.get("Arn", ""), target.get("Arn", "")
        if ":schedule/" in rule_arn:
            return bridge.caller("scheduler")._replace(arn=rule_arn, account=rule_arn.split(":")[4])
        return bridge.caller("eventbridge")._replace(
            arn=rule_arn,
            account=rule_arn.split(":")[4] if rule_arn else "",
            dead_letter=(target.get("DeadLetterConfig") or {}).get("Arn", ""),
            attributes=(("RULE_ARN", rule_arn), ("TARGET_ARN", target_arn)),
        )

    def dispatch(arn: str, payload: str) -> None:
        try:
            event = json.loads(payload)
        except ValueError:
            event = payload
        bridge.start(arn, bridge.current("eventbridge"), event)

    vars(module)["_dispatch_to_lambda"] = dispatch
    bridge.wrap(module, "_invoke_target", of_rule)


def iot(bridge: Bridge, module: Any) -> None:
    """Rule actions: the rule calls."""
    act = module._dispatch_rule_action

    async def act_as_rule(account: str, region: str, rule: str, action: Record, event: Event) -> None:
        arn = f"arn:aws:iot:{region}:{account}:rule/{rule}"
        with bridge.calling(bridge.caller("iot")._replace(arn=arn, account=account, is_event=True)):
            await act(account, region, rule, action, event)

    vars(module)["_dispatch_rule_action"] = act_as_rule


def http_api(bridge: Bridge, module: Any) -> None:
    """HTTP APIs; WebSocket APIs are refused."""
    _authorizer(bridge, module, "_invoke_request_authorizer_lambda")
    create = module._create_api

    def create_http(data: Record) -> Any:
        if str(data.get("protocolType", "")).upper() == "WEBSOCKET":
            text = "WebSocket APIs are not served here yet: only APIs with ProtocolType HTTP can be created."
            return module._apigw_error("BadRequestException", text, 400)
        return create(data)

    vars(module)["_create_api"] = create_http


def rest_api(bridge: Bridge, module: Any) -> None:
    """REST APIs."""
    _authorizer(bridge, module, "_invoke_authorizer_lambda")


def _authorizer(bridge: Bridge, module: Any, name: str) -> None:
    wrapped = getattr(module, name)

    async def as_authorizer(authorizer: Record, event: Event, account: str, region: str) -> object:
        api = (event.get("requestContext") or {}).get("apiId", "") or event.get("methodArn", "::::::").split(":")[5]
        identifier = authorizer.get("id") or authorizer.get("authorizerId") or "*"
        arn = f"arn:aws:execute-api:{region}:{account}:{api.partition('/')[0]}/authorizers/{identifier}"
        has_role = bool(authorizer.get("authorizerCredentials") or authorizer.get("authorizerCredentialsArn"))
        source = bridge.caller("apigateway")._replace(arn=arn, account=account, has_role=has_role)
        with bridge.calling(source):
            return await wrapped(authorizer, event, account, region)

    vars(module)[name] = as_authorizer


def cloudwatch(bridge: Bridge, module: Any) -> None:
    """Alarms: their actions may be functions, which MiniStack does not know."""
    dispatch = module._dispatch_alarm_actions
    # ARN of an alarm → its state when it last changed: what the next event calls the previous one.
    states: dict[str, Record] = {}

    def dispatch_to_functions(alarm: Record, old_state: str, new_state: str, reason: str) -> None:
        dispatch(alarm, old_state, new_state, reason)
        arn = alarm.get("AlarmArn", "")
        state = {"value": new_state, "reason": reason, "timestamp": _moment()}
        if alarm.get("StateReasonData"):
            state["reasonData"] = alarm["StateReasonData"]
        initial = {"value": old_state, "reason": "Unchecked: Initial alarm creation", "timestamp": state["timestamp"]}
        previous = states.get(arn, initial)
        states[arn] = state
        name = {"ALARM": "AlarmActions", "OK": "OKActions"}.get(new_state, "InsufficientDataActions")
        functions = [one for one in alarm.get(name) or () if ":lambda:" in one]
        if not functions or not alarm.get("ActionsEnabled", True):
            return
        event = _alarm_event(alarm, state, previous)
        for function in functions:
            source = bridge.source(_ALARMS, arn, arn.split(":")[4])
            bridge.start(function, source, event)

    vars(module)["_dispatch_alarm_actions"] = dispatch_to_functions


def _alarm_event(alarm: Record, state: Record, previous: Record) -> Event:
    """Return what a function gets of an alarm. Source: recorded (cloudwatch/test_cloudwatch.json)."""
    arn = alarm["AlarmArn"]
    configuration: Record = {"description": alarm.get("AlarmDescription") or ""}
    if alarm.get("AlarmRule"):
        configuration["alarmRule"] = alarm["AlarmRule"]
    elif alarm.get("MetricName"):
        metric = {
            "namespace": alarm.get("Namespace", ""),
            "name": alarm["MetricName"],
            "dimensions": {one["Name"]: one["Value"] for one in alarm.get("Dimensions") or ()},
        }
        statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic", "Average")
        described = {"metric": metric, "period": int(alarm.get("Period") or 60), "stat": statistic}
        identifier = str(uuid.uuid5(uuid.NAMESPACE_URL, arn))
        configuration["metrics"] = [{"id": identifier, "metricStat": described, "returnData": True}]
    return {
        "source": "aws.cloudwatch", "alarmArn": arn, "accountId": arn.split(":")[4], "time": state["timestamp"],
        "region": arn.split(":")[3],
        "alarmData": {
            "alarmName": alarm["AlarmName"], "state": state, "previousState": previous, "configuration": configuration,
        },
    }  # fmt: skip


def _moment() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


def secretsmanager(bridge: Bridge, module: Any) -> None:
    """Rotations: four calls of the function, which MiniStack does not make."""
    plain = module._rotate_secret

    def rotate(data: Record) -> Any:
        _, secret = module._resolve(data.get("SecretId"))
        if not secret or secret.get("DeletedDate") or module._is_replica(secret):
            return plain(data)
        arn = data.get("RotationLambdaARN") or secret.get("RotationLambdaARN")
        if not arn:
            return module.error_response_json("InvalidRequestException", _NO_ROTATION, 400)
        source = bridge.caller("secretsmanager")._replace(arn=secret["ARN"], account=secret["ARN"].split(":")[4])
        if not bridge.is_permitted(arn, source):
            return module.error_response_json("AccessDeniedException", _CANNOT_ROTATE, 400)
        secret["RotationLambdaARN"] = arn
        if data.get("RotationRules"):
            secret["RotationRules"] = data["RotationRules"]
        secret["RotationEnabled"] = True
        token = data.get("ClientRequestToken") or str(uuid.uuid4())
        steps = _ROTATION_STEPS if data.get("RotateImmediately", True) else ("testSecret",)
        if len(steps) > 1:
            secret["Versions"][token] = {
                "SecretString": None, "SecretBinary": None, "CreatedDate": int(time.time()), "Stages": ["AWSPENDING"],
            }  # fmt: skip

        def run() -> None:
            if _rotated(bridge, arn, source, token, steps) and len(steps) > 1:
                now = int(time.time())
                secret["LastRotatedDate"] = secret["LastChangedDate"] = now
                version = secret["Versions"].get(token)
                if version is not None and "AWSCURRENT" in version["Stages"] and "AWSPENDING" in version["Stages"]:
                    version["Stages"].remove("AWSPENDING")

        # Its function calls this service, so it must not run where requests are answered.
        threading.Thread(target=run, name="lambent-rotation", daemon=True).start()
        return module.json_response({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token})

    vars(module)["_rotate_secret"] = rotate


def _rotated(bridge: Bridge, arn: str, source: Source, token: str, steps: tuple[str, ...]) -> bool:
    """Run the steps; return whether all succeeded. Source: Secrets Manager user guide, "Rotation by Lambda function"."""
    for step in steps:
        event = {"Step": step, "SecretId": source.arn, "ClientRequestToken": token, "RotationToken": str(uuid.uuid4())}
        result = bridge.call(arn, source, event)
        if result.get("error"):
            _log.warning("the rotation of %s failed at %s: %s", source.arn, step, result.get("body"))
            return False
    return True


PARTICIPANTS: dict[str, Callable[[Bridge, Any], None]] = {
    "s3": s3,
    "sns": sns,
    "eventbridge": eventbridge,
    "iot": iot,
    "apigateway": http_api,
    "apigateway_v1": rest_api,
    "cloudwatch": cloudwatch,
    "secretsmanager": secretsmanager,
}
