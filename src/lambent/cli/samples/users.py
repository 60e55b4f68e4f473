"""Sample events of Amazon Cognito: the triggers of a user pool, and Sync."""

from __future__ import annotations

from functools import partial

from lambent.cli.samples.sample import Document, Given, Sample

_POOL = {"pool": "aBcDeFgHi", "client": "6abcdefghijklmnop7example", "user": "alice", "email": "alice@example.com"}
_CHALLENGE = {"challengeName": "CUSTOM_CHALLENGE", "challengeResult": True, "challengeMetadata": "CAPTCHA_CHALLENGE"}


def _attributes(given: Given) -> dict[str, str]:
    return {"sub": given.identifier(given["user"]), "email_verified": "true", "email": given["email"]}


def _trigger(
    given: Given, *, source: str, request: Document, response: Document, version: str = "1", is_known: bool = True
) -> Document:
    # Source: Cognito developer guide, "Customizing user pool workflows with Lambda triggers".
    user = {"userAttributes": _attributes(given)} if is_known else {}
    return {
        "version": version,
        "triggerSource": source,
        "region": given.region,
        "userPoolId": f"{given.region}_{given['pool']}",
        "userName": given["user"],
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": given["client"]},
        "request": {**user, **request},
        "response": dict(response),
    }


def sync(given: Given) -> Document:
    """Return a change of a data set of Cognito Sync."""
    # Source: Cognito developer guide, "Amazon Cognito Sync events".
    return {
        "version": 2,
        "eventType": "SyncTrigger",
        "region": given.region,
        "identityPoolId": f"{given.region}:{given.identifier('pool')}",
        "identityId": f"{given.region}:{given.identifier('identity')}",
        "datasetName": given["dataset"],
        "datasetRecords": {
            "SampleKey1": {"oldValue": "oldValue1", "newValue": "newValue1", "op": "replace"},
            "SampleKey2": {"oldValue": "oldValue2", "newValue": "newValue2", "op": "replace"},
        },
    }


def _sample(
    name: str, source: str, request: Document, response: Document, *, version: str = "1", is_known: bool = True
) -> Sample:
    build = partial(_trigger, source=source, request=request, response=response, version=version, is_known=is_known)
    fields = _POOL if is_known else {field: value for field, value in _POOL.items() if field != "email"}
    return Sample(f"cognito-{name}", f"Amazon Cognito user pool: {source}", fields, build)


_CHANGED: Document = {"claimsOverrideDetails": None}
_GROUPS = {"groupsToOverride": ["group-A"], "iamRolesToOverride": [], "preferredRole": None}

SAMPLES = (
    _sample(
        "pre-sign-up",
        "PreSignUp_SignUp",
        {"validationData": None},
        {"autoConfirmUser": False, "autoVerifyEmail": False, "autoVerifyPhone": False},
    ),
    _sample("post-confirmation", "PostConfirmation_ConfirmSignUp", {}, {}),
    _sample(
        "pre-authentication", "PreAuthentication_Authentication", {"validationData": {}, "userNotFound": False}, {}
    ),
    _sample("post-authentication", "PostAuthentication_Authentication", {"newDeviceUsed": True}, {}),
    _sample("pre-token-generation", "TokenGeneration_Authentication", {"groupConfiguration": _GROUPS}, _CHANGED),
    _sample(
        "pre-token-generation-v2",
        "TokenGeneration_Authentication",
        {"groupConfiguration": _GROUPS, "scopes": ["aws.cognito.signin.user.admin"]},
        {"claimsAndScopeOverrideDetails": None},
        version="2",
    ),
    _sample(
        "custom-message",
        "CustomMessage_SignUp",
        {"codeParameter": "{####}", "linkParameter": "{##Click Here##}", "usernameParameter": None},
        {"smsMessage": None, "emailMessage": None, "emailSubject": None},
    ),
    _sample(
        "define-auth-challenge",
        "DefineAuthChallenge_Authentication",
        {"session": [_CHALLENGE], "userNotFound": False},
        {"challengeName": None, "issueTokens": None, "failAuthentication": None},
    ),
    _sample(
        "create-auth-challenge",
        "CreateAuthChallenge_Authentication",
        {"challengeName": "CUSTOM_CHALLENGE", "session": [_CHALLENGE], "userNotFound": False},
        {"publicChallengeParameters": None, "privateChallengeParameters": None, "challengeMetadata": None},
    ),
    _sample(
        "verify-auth-challenge",
        "VerifyAuthChallengeResponse_Authentication",
        {"privateChallengeParameters": {"answer": "5"}, "challengeAnswer": "5", "userNotFound": False},
        {"answerCorrect": None},
    ),
    _sample(
        "user-migration",
        "UserMigration_Authentication",
        {"password": "example-password", "validationData": {}, "clientMetadata": {}},
        {
            "userAttributes": None,
            "finalUserStatus": None,
            "messageAction": None,
            "desiredDeliveryMediums": None,
            "forceAliasCreation": None,
        },
        is_known=False,
    ),
    Sample("cognito-sync", "Amazon Cognito Sync: a data set changed", {"dataset": "my-dataset"}, sync),
)
