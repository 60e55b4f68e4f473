"""What each trigger of a user pool is given, and what comes of its answers and failures."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.scenario.triggers.conftest import ACCOUNT, REGION, events_of, function_arn, printing, wait_until

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.long

_PASSWORD = "Secret-1234"
# Prints its event and answers with what the pool's name says, by trigger source.
_CODE = """
import json
answers = json.loads(%r)
def handler(event, context):
    print("got", json.dumps([event, context.invoked_function_arn]))
    answer = answers.get(event["triggerSource"], answers.get("*", {}))
    if answer == "fail":
        raise ValueError("not today")
    if not isinstance(answer, dict):
        return answer
    event["response"].update(answer)
    return event
"""
_ALL = (
    "PreSignUp", "PostConfirmation", "PreAuthentication", "PostAuthentication", "PreTokenGeneration", "CustomMessage",
    "UserMigration",
)  # fmt: skip


def _pool(server: LambentServer, name: str, answers: dict[str, Any], **configuration: Any) -> tuple[Any, str, str]:
    """Create a pool whose triggers are one function; return a client, the pool's id and that of an application."""
    function = printing(server, name, _CODE % json.dumps(answers))
    client = server.client("cognito-idp")
    triggers = dict.fromkeys(configuration.pop("triggers", _ALL), function)
    pool = client.create_user_pool(PoolName=name, LambdaConfig={**triggers, **configuration})["UserPool"]["Id"]
    flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    app = client.create_user_pool_client(UserPoolId=pool, ClientName="app", ExplicitAuthFlows=flows)
    server.client().add_permission(
        FunctionName=name, StatementId="pool", Action="lambda:InvokeFunction", Principal="cognito-idp.amazonaws.com",
        SourceArn=f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{pool}",
    )  # fmt: skip
    return client, pool, app["UserPoolClient"]["ClientId"]


def _sign_up(client: Any, app: str, name: str, **members: Any) -> Any:
    attributes = [{"Name": "email", "Value": f"{name}@example.com"}]
    return client.sign_up(ClientId=app, Username=name, Password=_PASSWORD, UserAttributes=attributes, **members)


def _sign_in(client: Any, app: str, name: str, **members: Any) -> dict[str, Any]:
    parameters = {"USERNAME": name, "PASSWORD": _PASSWORD}
    answer = client.initiate_auth(
        ClientId=app, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=parameters, **members
    )  # fmt: skip
    found: dict[str, Any] = answer["AuthenticationResult"]
    return found


def _claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def _event(server: LambentServer, name: str, source: str) -> Any:
    wait_until(lambda: source in [one["triggerSource"] for one in events_of(server, name)], source)
    return next(one for one in events_of(server, name) if one["triggerSource"] == source)


def _refusal(call: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call()
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def test_what_each_trigger_is_given(triggered: LambentServer) -> None:
    client, pool, app = _pool(triggered, "given", {})
    answered = _sign_up(
        client, app, "ann", ValidationData=[{"Name": "v", "Value": "1"}], ClientMetadata={"m": "2"}
    )  # fmt: skip
    sub = answered["UserSub"]
    common = {
        "version": "1", "region": REGION, "userPoolId": pool, "userName": "ann",
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": app},
    }  # fmt: skip
    known = {"sub": sub, "email": "ann@example.com"}
    # Documented: each trigger's page of the Cognito developer guide.
    assert _event(triggered, "given", "PreSignUp_SignUp") == {
        **common, "triggerSource": "PreSignUp_SignUp",
        "request": {"userAttributes": known, "validationData": {"v": "1"}, "clientMetadata": {"m": "2"}},
        "response": {"autoConfirmUser": False, "autoVerifyEmail": False, "autoVerifyPhone": False},
    }  # fmt: skip
    assert _event(triggered, "given", "CustomMessage_SignUp") == {
        **common, "triggerSource": "CustomMessage_SignUp",
        "request": {
            "userAttributes": {**known, "cognito:user_status": "UNCONFIRMED"}, "codeParameter": "{####}",
            "linkParameter": "{##Click Here##}", "usernameParameter": None, "clientMetadata": {"m": "2"},
        },
        "response": {"smsMessage": None, "emailMessage": None, "emailSubject": None},
    }  # fmt: skip
    client.resend_confirmation_code(ClientId=app, Username="ann")
    _event(triggered, "given", "CustomMessage_ResendCode")
    client.confirm_sign_up(ClientId=app, Username="ann", ConfirmationCode="123456", ClientMetadata={"m": "3"})
    confirmed = {**known, "cognito:user_status": "CONFIRMED"}
    assert _event(triggered, "given", "PostConfirmation_ConfirmSignUp") == {
        **common, "triggerSource": "PostConfirmation_ConfirmSignUp",
        "request": {"userAttributes": confirmed, "clientMetadata": {"m": "3"}}, "response": {},
    }  # fmt: skip
    _sign_in(client, app, "ann", ClientMetadata={"m": "4"})
    assert _event(triggered, "given", "PreAuthentication_Authentication") == {
        **common, "triggerSource": "PreAuthentication_Authentication",
        "request": {"userAttributes": confirmed, "validationData": {"m": "4"}}, "response": {},
    }  # fmt: skip
    assert _event(triggered, "given", "PostAuthentication_Authentication") == {
        **common, "triggerSource": "PostAuthentication_Authentication",
        "request": {"userAttributes": confirmed, "newDeviceUsed": False}, "response": {},
    }  # fmt: skip
    assert _event(triggered, "given", "TokenGeneration_Authentication") == {
        **common, "triggerSource": "TokenGeneration_Authentication",
        "request": {
            "userAttributes": confirmed,
            "groupConfiguration": {"groupsToOverride": [], "iamRolesToOverride": [], "preferredRole": None},
        },
        "response": {"claimsOverrideDetails": None},
    }  # fmt: skip
    client.forgot_password(ClientId=app, Username="ann")
    _event(triggered, "given", "CustomMessage_ForgotPassword")
    client.confirm_forgot_password(ClientId=app, Username="ann", ConfirmationCode="654321", Password="Other-1234")
    _event(triggered, "given", "PostConfirmation_ConfirmForgotPassword")
    client.admin_create_user(UserPoolId=pool, Username="ben", DesiredDeliveryMediums=["EMAIL"])
    assert _event(triggered, "given", "PreSignUp_AdminCreateUser")["callerContext"]["clientId"] == (
        "CLIENT_ID_NOT_APPLICABLE"
    )


def test_tokens_of_version_one(triggered: LambentServer) -> None:
    details = {
        "claimsToAddOrOverride": {"colour": "blue", "sub": "forged"}, "claimsToSuppress": ["email"],
        "groupOverrideDetails": {"groupsToOverride": ["a"]},
    }  # fmt: skip
    answers = {
        "PreSignUp_SignUp": {"autoConfirmUser": True, "autoVerifyEmail": True},
        "TokenGeneration_Authentication": {"claimsOverrideDetails": details},
    }
    client, _, app = _pool(triggered, "tokens-one", answers)
    sub = _sign_up(client, app, "ann")["UserSub"]
    tokens = _sign_in(client, app, "ann")
    claims = _claims(tokens["IdToken"])
    assert (claims["colour"], claims["sub"], claims["cognito:groups"]) == ("blue", sub, ["a"])
    assert "email" not in claims
    assert "colour" not in _claims(tokens["AccessToken"])


def test_tokens_of_version_two(triggered: LambentServer) -> None:
    details = {
        "idTokenGeneration": {"claimsToAddOrOverride": {"kind": "id"}},
        "accessTokenGeneration": {"claimsToAddOrOverride": {"kind": "access"}, "scopesToAdd": ["read"]},
        "groupOverrideDetails": {"groupsToOverride": ["b"]},
    }
    answers = {
        "PreSignUp_SignUp": {"autoConfirmUser": True},
        "TokenGeneration_Authentication": {"claimsAndScopeOverrideDetails": details},
    }
    versioned = {"LambdaVersion": "V2_0", "LambdaArn": function_arn("tokens-two")}
    client, _, app = _pool(
        triggered, "tokens-two", answers, triggers=("PreSignUp",), PreTokenGenerationConfig=versioned
    )  # fmt: skip
    _sign_up(client, app, "ann")
    tokens = _sign_in(client, app, "ann")
    identity, access = _claims(tokens["IdToken"]), _claims(tokens["AccessToken"])
    assert (identity["kind"], access["kind"], identity["cognito:groups"]) == ("id", "access", ["b"])
    assert "read" in access["scope"].split()
    event = _event(triggered, "tokens-two", "TokenGeneration_Authentication")
    assert event["version"] == "2"
    assert event["request"]["scopes"] == ["aws.cognito.signin.user.admin"]
    assert event["response"] == {"claimsAndScopeOverrideDetails": None}
    # Once for both tokens.
    sources = [one["triggerSource"] for one in events_of(triggered, "tokens-two", 2)]
    assert sources == ["PreSignUp_SignUp", "TokenGeneration_Authentication"]


@pytest.mark.parametrize(
    ("source", "trigger"),
    [
        ("PreSignUp_SignUp", "PreSignUp"),
        ("CustomMessage_SignUp", "CustomMessage"),
    ],
)
def test_a_trigger_that_fails_while_signing_up(triggered: LambentServer, source: str, trigger: str) -> None:
    name = f"failing-{trigger.lower()}"
    client, _, app = _pool(triggered, name, {source: "fail"})
    assert _refusal(lambda: _sign_up(client, app, "ann")) == (
        "UserLambdaValidationException", f"{trigger} failed with error not today."
    )  # fmt: skip


@pytest.mark.parametrize(
    ("source", "trigger"),
    [
        ("PreAuthentication_Authentication", "PreAuthentication"),
        ("PostAuthentication_Authentication", "PostAuthentication"),
        ("TokenGeneration_Authentication", "PreTokenGeneration"),
    ],
)
def test_a_trigger_that_fails_while_signing_in(triggered: LambentServer, source: str, trigger: str) -> None:
    name = f"failing-{trigger.lower()}"
    client, _, app = _pool(triggered, name, {"PreSignUp_SignUp": {"autoConfirmUser": True}, source: "fail"})
    _sign_up(client, app, "ann")
    assert _refusal(lambda: _sign_in(client, app, "ann")) == (
        "UserLambdaValidationException", f"{trigger} failed with error not today."
    )  # fmt: skip


def test_what_is_no_answer_and_who_may_not_call(triggered: LambentServer) -> None:
    client, _, app = _pool(triggered, "mumbling", {"*": "hm"})
    assert _refusal(lambda: _sign_up(client, app, "ann")) == (
        "InvalidLambdaResponseException", "Unrecognizable lambda output"
    )  # fmt: skip
    triggered.client().remove_permission(FunctionName="mumbling", StatementId="pool")
    assert _refusal(lambda: _sign_up(client, app, "ann")) == (
        "UnexpectedLambdaException", "PreSignUp invocation failed due to error AccessDeniedException."
    )  # fmt: skip


def test_a_user_who_forgot_the_password_comes_from_elsewhere(triggered: LambentServer) -> None:
    migrated = {
        "userAttributes": {"email": "d@example.com", "email_verified": "true"}, "messageAction": "SUPPRESS",
    }  # fmt: skip
    client, pool, app = _pool(triggered, "forgotten", {"UserMigration_ForgotPassword": migrated})
    delivery = client.forgot_password(ClientId=app, Username="dan", ClientMetadata={"m": "1"})
    assert delivery["CodeDeliveryDetails"]["DeliveryMedium"] == "EMAIL"
    event = _event(triggered, "forgotten", "UserMigration_ForgotPassword")
    assert event["request"] == {"clientMetadata": {"m": "1"}}
    assert set(event["response"]) == {
        "userAttributes", "finalUserStatus", "messageAction", "desiredDeliveryMediums", "forceAliasCreation"
    }  # fmt: skip
    assert client.admin_get_user(UserPoolId=pool, Username="dan")["UserStatus"] == "RESET_REQUIRED"
    client.confirm_forgot_password(ClientId=app, Username="dan", ConfirmationCode="654321", Password=_PASSWORD)
    assert _sign_in(client, app, "dan")["AccessToken"]
    with pytest.raises(ClientError) as refused:
        _pool(triggered, "unwanted", {"*": "fail"})[0].forgot_password(
            ClientId=_pool(triggered, "unwanted-too", {"*": "fail"})[2], Username="eve"
        )
    assert refused.value.response["Error"]["Code"] == "UserNotFoundException"
