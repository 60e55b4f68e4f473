"""Who calls, service by service: what MiniStack's modules are told to say of themselves, and what they lack.

Each participant is given the bridge and its module once the module is loaded. Events take AWS's form where MiniStack's
differs.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from lambent.neighbours.program.integration_roles import call_by_role, keep_roles
from lambent.neighbours.program.quick_apis import complete
from lambent.neighbours.program.rest_apis.documents import RestApiDocuments
from lambent.neighbours.program.rest_apis.patches import whole_patches
from lambent.neighbours.program.rest_apis.proxies import proxy_event, whole_answers, whole_contexts

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.neighbours.program.bridge import Bridge, Source

    Event = Any
    Record = dict[str, Any]

# Source: S3 user guide, "Event message structure": versions by the kind of event. Recorded: 2.1 for ObjectCreated:Put.
_S3_VERSIONS = (
    ("Replication:", "2.2"), ("LifecycleExpiration:", "2.3"), ("LifecycleTransition", "2.3"),
    ("IntelligentTiering", "2.3"),
    ("ObjectAcl:", "2.3"), ("ObjectTagging:", "2.3"), ("ObjectRestore:Delete", "2.3"),
)  # fmt: skip


def s3(bridge: Bridge, module: Any) -> None:
    """Notifications: the bucket calls, for its owner."""

    def of_bucket(bucket: str) -> Source:
        account = module._bucket_owner_account(bucket) or module.get_account_id()
        return bridge.caller("s3")._replace(arn=f"arn:aws:s3:::{bucket}", account=account)

    def deliver_as_bucket(arn: str, payload: Event, _region: str) -> None:
        [record] = payload["Records"]
        name = record["eventName"]
        version = next((version for start, version in _S3_VERSIONS if name.startswith(start)), "2.1")
        owner = of_bucket(record["s3"]["bucket"]["name"])
        bucket = {**record["s3"]["bucket"], "ownerIdentity": {"principalId": _canonical(owner.account)}}
        # Source: STS, GetCallerIdentity: the id of an account's root user is the account's.
        caller = {"principalId": f"AWS:{module.get_account_id()}"}
        shown = {**record, "eventVersion": version, "userIdentity": caller, "s3": {**record["s3"], "bucket": bucket}}
        bridge.start(arn, owner, {"Records": [shown]})

    validate = module._validate_notification_configs

    def validate_with_permissions(
        configs: list[Record], region: str, bucket_name: str = "", skip_destination_validation: bool = False
    ) -> Any:
        for one in configs:
            if not str(one["arn"]).startswith("arn:"):
                # Recorded (test_s3_notifications_lambda.json).
                name = {"lambda": "CloudFunction", "sqs": "Queue", "sns": "Topic"}.get(one["type"], one["type"])
                named = {"ArgumentName": name, "ArgumentValue": str(one["arn"])}
                return _plain(module._error("InvalidArgument", "The ARN could not be parsed", 400, extra=named))
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
        return _plain(module._error("InvalidArgument", text, 400, extra=extra))

    parse = module._parse_notification_target_arn

    def parse_of_any_account(target_type: str, arn: str, region: str) -> Any:
        spec, error = parse(target_type, arn, region)
        if target_type != "lambda" or not error or "account must match" not in error:
            return spec, error
        # Whether a function of another account may be called is for its policy to say.
        return (spec, None) if spec.region == region else (spec, "destination region must match bucket region")

    vars(module)["_parse_notification_target_arn"] = parse_of_any_account
    vars(module)["_deliver_event_to_lambda"] = deliver_as_bucket
    vars(module)["_validate_notification_configs"] = validate_with_permissions
    vars(module)["threading"] = bridge.threads({module._fire_s3_event})


def _canonical(account: str) -> str:
    """Return what stands for an account among the owners of buckets: letters and digits that it alone decides."""
    return "A" + base64.b32encode(hashlib.sha256(account.encode()).digest()).decode()[:13]


def _plain(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, dict[str, str], bytes]:
    """Return an error of S3 that is about no resource."""
    status, headers, body = answer
    return status, headers, body.replace(b"<Resource />", b"").replace(b"<Resource></Resource>", b"")


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

    build, matches = module._build_envelope, module._matches_filter_policy
    # The subscription that is being looked at: its filter is asked before its message is made.
    looked_at: ContextVar[str] = ContextVar("looked_at", default="")

    def matches_noted(subscription: Record, *rest: Any) -> Any:
        looked_at.set(subscription.get("arn", ""))
        return matches(subscription, *rest)

    def build_for_subscription(*given: Any) -> str:
        text: str = build(*given)
        return text.replace(f"{module.get_account_id()}:example", looked_at.get().split(":", 4)[-1]) if text else text

    vars(module)["_matches_filter_policy"] = matches_noted
    vars(module)["_build_envelope"] = build_for_subscription
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
    keep_roles(module)
    call_by_role(bridge, module, "_invoke_lambda_proxy", "credentialsArn")
    create = module._create_api

    def create_http(data: Record) -> Any:
        if str(data.get("protocolType", "")).upper() == "WEBSOCKET":
            text = "WebSocket APIs are not served here yet: only APIs with ProtocolType HTTP can be created."
            return module._apigw_error("BadRequestException", text, 400)
        answer = create(data)
        if answer[0] < 300:
            complete(module, json.loads(answer[2])["apiId"], data)
        return answer

    vars(module)["_create_api"] = create_http


def rest_api(bridge: Bridge, module: Any) -> None:
    """REST APIs."""
    whole_patches(module)
    whole_answers(module)
    whole_contexts(module)
    RestApiDocuments(module).install()
    _authorizer(bridge, module, "_invoke_authorizer_lambda")
    call = module._call_lambda_raw

    async def call_with_own_event(function: str, event: Event, **named: Any) -> Any:
        return await call(function, proxy_event(event), **named)

    vars(module)["_call_lambda_raw"] = call_with_own_event
    for name in ("_invoke_lambda_proxy_v1", "_invoke_lambda_custom_v1"):
        call_by_role(bridge, module, name, "credentials")


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


PARTICIPANTS: dict[str, Callable[[Bridge, Any], None]] = {
    "s3": s3,
    "sns": sns,
    "iot": iot,
    "apigateway": http_api,
    "apigateway_v1": rest_api,
}
