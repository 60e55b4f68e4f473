"""User pools call functions while people sign up and in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.scenario.triggers.conftest import ACCOUNT, REGION, events_of, function_arn, printing

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.long

_CODE = """
import json
def handler(event, context):
    print("got", json.dumps([event, context.invoked_function_arn]))
    source, request, response = event["triggerSource"], event["request"], event["response"]
    if source.startswith("PreSignUp"):
        if event["userName"] == "unwelcome":
            raise ValueError("not you")
        response["autoConfirmUser"] = True
    elif source.startswith("TokenGeneration"):
        response["claimsOverrideDetails"] = {"claimsToAddOrOverride": {"colour": "blue"}}
    elif source.startswith("DefineAuthChallenge"):
        done = bool(request["session"]) and request["session"][-1]["challengeResult"]
        response.update(issueTokens=done, failAuthentication=False)
        if not done:
            response["challengeName"] = "CUSTOM_CHALLENGE"
    elif source.startswith("CreateAuthChallenge"):
        response["publicChallengeParameters"] = {"question": "2+2"}
        response["privateChallengeParameters"] = {"answer": "4"}
    elif source.startswith("VerifyAuthChallenge"):
        expected = request["privateChallengeParameters"]["answer"]
        response["answerCorrect"] = request["challengeAnswer"] == expected
    return event
"""
_TRIGGERS = (
    "PreSignUp", "PostConfirmation", "PreAuthentication", "PostAuthentication", "PreTokenGeneration",
    "DefineAuthChallenge", "CreateAuthChallenge", "VerifyAuthChallengeResponse",
)  # fmt: skip
_PASSWORD = "Secret-1234"


def _pool(server: LambentServer, name: str, **configuration: str) -> tuple[Any, str, str]:
    """Create a pool; return a client, the pool's id and that of an application."""
    client = server.client("cognito-idp")
    pool = client.create_user_pool(PoolName=name, LambdaConfig=configuration)["UserPool"]["Id"]
    flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    made = client.create_user_pool_client(UserPoolId=pool, ClientName="app", ExplicitAuthFlows=flows)
    arn = f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{pool}"
    for function in {one.rpartition(":")[2] for one in configuration.values()}:
        server.client().add_permission(
            FunctionName=function, StatementId=f"of-{name}", Action="lambda:InvokeFunction",
            Principal="cognito-idp.amazonaws.com", SourceArn=arn,
        )  # fmt: skip
    return client, pool, made["UserPoolClient"]["ClientId"]


def _sources(server: LambentServer, function: str, count: int) -> list[str]:
    """Return what a function was called for, when it was called so often: lines come after answers."""
    return [event["triggerSource"] for event in events_of(server, function, count)]


def test_signing_up_and_in(triggered: LambentServer) -> None:
    printing(triggered, "pool", _CODE)
    client, pool, app = _pool(triggered, "people", **dict.fromkeys(_TRIGGERS, function_arn("pool")))
    attributes = [{"Name": "email", "Value": "a@example.com"}]
    answer = client.sign_up(ClientId=app, Username="ann", Password=_PASSWORD, UserAttributes=attributes)
    assert answer["UserConfirmed"] is True
    first = events_of(triggered, "pool", 2)[0]
    # Documented: "Customizing user pool workflows with Lambda triggers", common parameters.
    assert set(first) >= {"version", "triggerSource", "region", "userPoolId", "userName", "callerContext", "request"}
    assert (first["triggerSource"], first["userPoolId"], first["userName"]) == ("PreSignUp_SignUp", pool, "ann")
    assert first["request"]["userAttributes"]["email"] == "a@example.com"
    with pytest.raises(ClientError) as refused:
        client.sign_up(ClientId=app, Username="unwelcome", Password=_PASSWORD, UserAttributes=attributes)
    error = refused.value.response["Error"]
    assert (error["Code"], error["Message"]) == (
        "UserLambdaValidationException", "PreSignUp failed with error not you."
    )  # fmt: skip
    client.initiate_auth(
        ClientId=app, AuthFlow="USER_PASSWORD_AUTH", AuthParameters={"USERNAME": "ann", "PASSWORD": _PASSWORD}
    )
    assert _sources(triggered, "pool", 6) == [
        "PreSignUp_SignUp", "PostConfirmation_ConfirmSignUp", "PreSignUp_SignUp", "PreAuthentication_Authentication",
        "PostAuthentication_Authentication", "TokenGeneration_Authentication",
    ]  # fmt: skip


def test_challenges_of_ones_own(triggered: LambentServer) -> None:
    printing(triggered, "challenges", _CODE)
    names = ("PreSignUp", "DefineAuthChallenge", "CreateAuthChallenge", "VerifyAuthChallengeResponse")
    client, _, app = _pool(triggered, "challenged", **dict.fromkeys(names, function_arn("challenges")))
    client.sign_up(ClientId=app, Username="ben", Password=_PASSWORD)
    begun = client.initiate_auth(ClientId=app, AuthFlow="CUSTOM_AUTH", AuthParameters={"USERNAME": "ben"})
    assert (begun["ChallengeName"], begun["ChallengeParameters"]["question"]) == ("CUSTOM_CHALLENGE", "2+2")
    done = client.respond_to_auth_challenge(
        ClientId=app, ChallengeName="CUSTOM_CHALLENGE", Session=begun["Session"],
        ChallengeResponses={"USERNAME": "ben", "ANSWER": "4"},
    )  # fmt: skip
    assert done["AuthenticationResult"]["AccessToken"]
    assert _sources(triggered, "challenges", 5) == [
        "PreSignUp_SignUp", "DefineAuthChallenge_Authentication", "CreateAuthChallenge_Authentication",
        "VerifyAuthChallengeResponse_Authentication", "DefineAuthChallenge_Authentication",
    ]  # fmt: skip


def test_invitations_in_ones_own_words(triggered: LambentServer) -> None:
    code = """
import json
def handler(event, context):
    print("got", json.dumps([event, context.invoked_function_arn]))
    event["response"]["emailSubject"] = "Come in"
    event["response"]["emailMessage"] = "You are {username}, the code is {####}"
    return event
"""
    printing(triggered, "invitations", code)
    client, pool, _ = _pool(triggered, "invited", CustomMessage=function_arn("invitations"))
    client.admin_create_user(
        UserPoolId=pool, Username="cleo", UserAttributes=[{"Name": "email", "Value": "c@example.com"}],
        DesiredDeliveryMediums=["EMAIL"],
    )  # fmt: skip
    assert _sources(triggered, "invitations", 1) == ["CustomMessage_AdminCreateUser"]


def test_a_user_comes_from_elsewhere(triggered: LambentServer) -> None:
    code = """
import json
def handler(event, context):
    print("got", json.dumps([event, context.invoked_function_arn]))
    if event["request"]["password"] != "Secret-1234":
        raise ValueError("Bad password")
    event["response"]["userAttributes"] = {"email": "d@example.com", "email_verified": "true"}
    event["response"]["finalUserStatus"] = "CONFIRMED"
    event["response"]["messageAction"] = "SUPPRESS"
    return event
"""
    printing(triggered, "migration", code)
    client, pool, app = _pool(triggered, "migrated", UserMigration=function_arn("migration"))

    def sign_in(password: str) -> Any:
        parameters = {"USERNAME": "dan", "PASSWORD": password}
        return client.initiate_auth(ClientId=app, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=parameters)

    with pytest.raises(ClientError):
        sign_in("Wrong-1234")
    assert sign_in(_PASSWORD)["AuthenticationResult"]["AccessToken"]
    described = client.admin_get_user(UserPoolId=pool, Username="dan")
    assert described["UserStatus"] == "CONFIRMED"
    assert sign_in(_PASSWORD)["AuthenticationResult"]["AccessToken"]
    assert _sources(triggered, "migration", 2) == ["UserMigration_Authentication"] * 2
