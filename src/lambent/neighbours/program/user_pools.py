"""The triggers of user pools: MiniStack calls some of them; here all are called, with AWS's events and errors.

Source: Cognito developer guide, "Customizing user pool workflows with Lambda triggers", and its page for each trigger.
"""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.neighbours.program.bridge import Bridge

    Answer = tuple[int, dict[str, str], bytes]
    Members = dict[str, Any]

_log = logging.getLogger("ministack")

_SIGN_INS = frozenset({"USER_PASSWORD_AUTH", "ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH", "USER_SRP_AUTH"})
_CONFIRMED = "PostConfirmation_ConfirmSignUp"
# Operation → what its code is sent for.
_MESSAGES = {
    "SignUp": "CustomMessage_SignUp",
    "ResendConfirmationCode": "CustomMessage_ResendCode",
    "ForgotPassword": "CustomMessage_ForgotPassword",
    "AdminResetUserPassword": "CustomMessage_ForgotPassword",
}
_CODE = "{####}"
_NO_CLIENT = "CLIENT_ID_NOT_APPLICABLE"
_AUTO = {"autoConfirmUser": False, "autoVerifyEmail": False, "autoVerifyPhone": False}
# Source: "Pre token generation Lambda trigger", "Claims that cannot be overridden".
_FIXED_CLAIMS = frozenset(
    {
        "acr", "amr", "at_hash", "auth_time", "azp", "cognito:username", "exp", "iat", "iss", "jti", "nbf", "nonce",
        "origin_jti", "sub", "token_use", "aud", "client_id", "device_key", "event_id", "username", "version",
    }
)  # fmt: skip


class _RejectedError(Exception):
    """A trigger has failed, which its message says: the operation fails with the code."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class _Operation(NamedTuple):
    """What is being answered. `responses`: what a trigger has answered that is asked once for several tokens."""

    action: str
    data: Members
    responses: dict[str, Members]


class UserPools:
    """Calls the triggers in and around MiniStack's operations. Scope: process; keeps nothing."""

    def __init__(self, bridge: Bridge, module: Any) -> None:
        self._bridge = bridge
        self._module = module
        self._run_operation: Callable[[Any, str, Members], Answer] = module._run_idp_handler
        self._build_tokens = module._build_auth_result
        self._send_code = module._send_verification_email
        self._current: ContextVar[_Operation | None] = ContextVar("operation", default=None)

    def take_part(self) -> None:
        """Stand in and around MiniStack's operations from now on."""
        known = vars(self._module)
        known["_run_idp_handler"] = self.run
        known["_build_auth_result"] = self.build_tokens
        known["_apply_presignup_trigger"] = self.before_sign_up
        known["_apply_pretoken_trigger"] = self.before_token
        known["_apply_custom_message_trigger"] = self.message_of_invitation
        known["_send_verification_email"] = self.send_code
        for name in ("define", "create", "verify"):
            trigger = {"verify": "VerifyAuthChallengeResponse"}.get(name, f"{name.title()}AuthChallenge")
            build = getattr(self._module, f"_build_{name}_auth_challenge_event")
            known[f"_invoke_{name}_auth_challenge_trigger"] = self._challenge(trigger, build)

    def run(self, operation: Any, action: str, data: Members) -> Answer:
        """Run an operation between its triggers; one that fails is the operation's failure."""
        token = self._current.set(_Operation(action, data, {}))
        try:
            self._before(action, data)
            answer = self._run_operation(operation, action, data)
            if answer[0] == 200:
                self._after(action, data, answer)
        except _RejectedError as error:
            refused: Answer = self._module.error_response_json(error.code, str(error), 400)
            return refused
        finally:
            self._current.reset(token)
        return answer

    # --- signing up

    def before_sign_up(
        self,
        pool_id: str,
        client_id: str,
        username: str,
        user_attrs: Members,
        trigger_source: str = "PreSignUp_ExternalProvider",
    ) -> Members:
        """Call PreSignUp; return what it decides: confirmed, verified."""
        operation = self._current.get()
        data = operation.data if operation is not None else {}
        validation = {one["Name"]: one.get("Value", "") for one in data.get("ValidationData") or ()}
        request: Members = {"userAttributes": _texts(user_attrs), "validationData": validation or None}
        if data.get("ClientMetadata"):
            request["clientMetadata"] = data["ClientMetadata"]
        user = {"Username": username}
        try:
            said = self._call("PreSignUp", trigger_source, (pool_id, client_id, user), request, _AUTO)
        except _RejectedError as error:
            if trigger_source == "PreSignUp_ExternalProvider":
                raise self._module._PreSignUpRejected(str(error)) from error
            raise
        return {name: said.get(name) is True for name in _AUTO}

    def message_of_invitation(
        self, pool: Members, trigger_source: str, username: str, user_attrs: Members, client_metadata: Any = None,
        username_parameter: str = "{username}",
    ) -> Members:  # fmt: skip
        """Call CustomMessage for an invitation; return its words."""
        request = {
            "userAttributes": _texts(user_attrs), "codeParameter": _CODE, "usernameParameter": username_parameter,
        }  # fmt: skip
        return self._message(pool, trigger_source, (username, _NO_CLIENT), request, client_metadata)

    def send_code(
        self, pool: Members, username: str, attr_dict: Members, code: str, attribute_name: str = "email"
    ) -> object:
        """Send a code, in the words of CustomMessage if it has some."""
        operation = self._current.get()
        source = _MESSAGES.get(operation.action) if operation is not None else None
        said: Members = {}
        if operation is not None and source is not None:
            client_id = operation.data.get("ClientId") or _NO_CLIENT
            request = {
                "userAttributes": _texts(attr_dict), "codeParameter": _CODE, "linkParameter": "{##Click Here##}",
                "usernameParameter": None,
            }  # fmt: skip
            metadata = operation.data.get("ClientMetadata")
            said = self._message(pool, source, (username, client_id), request, metadata)
        words, address = said.get("emailMessage"), (attr_dict or {}).get("email")
        if not words or not address:
            return self._send_code(pool, username, attr_dict, code, attribute_name=attribute_name)
        if _CODE not in words and "{##" not in words:
            text = "CustomMessage emailMessage must contain the code parameter {####}."
            raise _RejectedError("InvalidLambdaResponseException", text)
        subject = said.get("emailSubject") or self._module._resolve_verification_template(pool, by_link=False)[0]
        sent: object = self._module._deliver_cognito_email(
            pool, address, subject, words.replace(_CODE, code),
            type_name="CognitoVerificationMessage", extra={"Username": username, "AttributeName": attribute_name},
        )  # fmt: skip
        return sent

    # --- signing in

    def build_tokens(self, pool_id: str, client_id: str, user: Members, *rest: Any, **named: Any) -> Any:
        """Tell of a sign-in before its tokens are made."""
        source = rest[1] if len(rest) > 1 else named.get("trigger_source", "TokenGeneration_Authentication")
        if source != "TokenGeneration_RefreshTokens":
            request: Members = {"newDeviceUsed": False}
            if named.get("client_metadata"):
                request["clientMetadata"] = named["client_metadata"]
            self._call("PostAuthentication", "PostAuthentication_Authentication", (pool_id, client_id, user), request)
        return self._build_tokens(pool_id, client_id, user, *rest, **named)

    def before_token(self, **named: Any) -> Members:
        """Call PreTokenGeneration, once for all tokens of a sign-in; return a token's claims as it wants them."""
        claims: Members = named["claims"]
        pool_id, kind, source = named["pool_id"], named["token_type"], named["trigger_source"]
        config = (self._module._user_pools.get(pool_id) or {}).get("LambdaConfig") or {}
        versioned = config.get("PreTokenGenerationConfig") or {}
        version = (versioned.get("LambdaVersion") or "V1_0").upper() if versioned.get("LambdaArn") else "V1_0"
        arn = versioned.get("LambdaArn") or config.get("PreTokenGeneration")
        is_machine = source == "TokenGeneration_ClientCredentials"
        if not arn or (is_machine and version != "V3_0") or (version == "V1_0" and kind != "id"):
            return claims
        operation = self._current.get()
        answered = operation.responses.get(arn) if operation is not None else None
        if answered is None:
            members = {key: value for key, value in named.items() if key not in ("claims", "token_type")}
            event = self._module._build_pretoken_event(**members, version=version)
            try:
                answered = self._exchange(arn, event)
            except _RejectedError as error:
                if operation is not None:
                    raise
                _log.warning("a token is made as it is: %s", error)
                return claims
            if operation is not None:
                operation.responses[arn] = answered
        return _overridden(claims, kind, answered, is_plain=version == "V1_0")

    def _challenge(self, trigger: str, build: Callable[..., Members]) -> Callable[..., tuple[Members | None, None]]:
        """Return what calls one of the three triggers of custom challenges, as MiniStack asks for it."""

        def call(pool_id: str, *rest: Any) -> tuple[Members | None, None]:
            pool = self._module._user_pools.get(pool_id) or {}
            arn = (pool.get("LambdaConfig") or {}).get(trigger)
            if not arn:
                return None, None
            event = build(pool_id, *rest)
            return {**event, "response": self._exchange(arn, event)}, None

        return call

    # --- before and after operations

    def _before(self, action: str, data: Members) -> None:
        pool_id, pool = self._pool(data)
        if pool is None:
            return
        if action in ("InitiateAuth", "AdminInitiateAuth") and data.get("AuthFlow") in _SIGN_INS:
            self._before_sign_in(data, (pool_id, pool))
        elif action == "ForgotPassword" and self._is_stranger(pool, data.get("Username", "")):
            self._migrate((pool_id, pool), data["Username"], None)
        elif action == "AdminCreateUser" and data.get("MessageAction") != "RESEND":
            self._before_creation(data, pool_id, pool)

    def _before_creation(self, data: Members, pool_id: str, pool: Members) -> None:
        name = data.get("Username", "")
        if self._module._resolve_user(pool, name)[0] is not None:
            return
        attributes = self._module._attr_list_to_dict(data.get("UserAttributes") or [])
        said = self.before_sign_up(pool_id, _NO_CLIENT, name, attributes, "PreSignUp_AdminCreateUser")
        for decided, known, verified in (
            ("autoVerifyEmail", "email", "email_verified"),
            ("autoVerifyPhone", "phone_number", "phone_number_verified"),
        ):
            if said[decided] and known in attributes:
                data.setdefault("UserAttributes", []).append({"Name": verified, "Value": "true"})

    def _before_sign_in(self, data: Members, pool: tuple[str, Members]) -> None:
        parameters = data.get("AuthParameters") or {}
        name, password = parameters.get("USERNAME", ""), parameters.get("PASSWORD")
        if password is not None and self._is_stranger(pool[1], name):
            self._migrate(pool, name, password)
        user = self._module._resolve_user(pool[1], name)[0]
        if user is not None:
            who = (pool[0], data.get("ClientId", ""), user)
            request = {"validationData": data.get("ClientMetadata") or None}
            self._call("PreAuthentication", "PreAuthentication_Authentication", who, request)

    def _is_stranger(self, pool: Members, name: str) -> bool:
        has_trigger = bool((pool.get("LambdaConfig") or {}).get("UserMigration"))
        return has_trigger and self._module._resolve_user(pool, name)[0] is None

    def _after(self, action: str, data: Members, answer: Answer) -> None:
        if action == "SignUp" and not json.loads(answer[2]).get("UserConfirmed"):
            return
        source = {
            "SignUp": _CONFIRMED, "ConfirmSignUp": _CONFIRMED, "AdminConfirmSignUp": _CONFIRMED,
            "ConfirmForgotPassword": "PostConfirmation_ConfirmForgotPassword",
        }.get(action)  # fmt: skip
        pool_id, pool = self._pool(data)
        if source is None or pool is None:
            return
        user = self._module._resolve_user(pool, data.get("Username", ""))[0]
        if user is not None:
            request = {"clientMetadata": data["ClientMetadata"]} if data.get("ClientMetadata") else {}
            self._call("PostConfirmation", source, (pool_id, data.get("ClientId") or _NO_CLIENT, user), request)

    def _migrate(self, pool: tuple[str, Members], name: str, password: str | None) -> None:
        """Create a user as the function says that it is; one that it does not want stays unknown.

        `password` None: it was forgotten, and the user gets another one.
        """
        operation = self._current.get()
        data = operation.data if operation is not None else {}
        way = "Authentication" if password is not None else "ForgotPassword"
        metadata = data.get("ClientMetadata") or None
        request: Members = {"validationData": metadata} if password is not None else {"clientMetadata": metadata}
        if password is not None:
            request["password"] = password
        response = {
            "userAttributes": None, "finalUserStatus": None, "messageAction": None, "desiredDeliveryMediums": None,
            "forceAliasCreation": None,
        }  # fmt: skip
        who = (pool[0], data.get("ClientId", ""), {"Username": name})
        try:
            said = self._call("UserMigration", f"UserMigration_{way}", who, request, response)
        except _RejectedError as error:
            # Source: "Migrate user Lambda trigger": the user is told of a wrong name or password, not of the function.
            _log.info("%s is not taken over: %s", name, error)
            return
        attributes = said.get("userAttributes")
        if not attributes:
            return
        module = self._module
        members = {"UserPoolId": pool[0], "Username": name}
        given = [{"Name": key, "Value": str(value)} for key, value in attributes.items() if key != "username"]
        # The function has the last word: PreSignUp is not asked, and an invitation goes out if it says so.
        silent = {} if said.get("messageAction") == "RESEND" else {"MessageAction": "SUPPRESS"}
        created = module._admin_create_user({**members, "UserAttributes": given, **silent})
        if created[0] != 200:
            return
        status = said.get("finalUserStatus") or ("CONFIRMED" if password is not None else "RESET_REQUIRED")
        if password is not None:
            module._admin_set_user_password({**members, "Password": password, "Permanent": status == "CONFIRMED"})
        user = module._resolve_user(pool[1], name)[0]
        if user is not None:
            user["UserStatus"] = status

    # --- the call itself

    def _message(
        self, pool: Members, source: str, who: tuple[str, str], request: Members, metadata: Members | None
    ) -> Members:
        username, client_id = who
        user = pool.get("_users", {}).get(username) or {"Username": username}
        response = {"smsMessage": None, "emailMessage": None, "emailSubject": None}
        asked = {**request, **({"clientMetadata": metadata} if metadata else {})}
        return self._call("CustomMessage", source, (pool["Id"], client_id, user), asked, response)

    def _call(
        self,
        trigger: str,
        source: str,
        who: tuple[str, str, Members],
        request: Members,
        response: Members | None = None,
    ) -> Members:
        """Call a trigger if the pool has it; return what its function has answered."""
        pool_id, client_id, user = who
        module = self._module
        arn = (module._user_pools[pool_id].get("LambdaConfig") or {}).get(trigger)
        if not arn:
            return {}
        if "userAttributes" not in request and trigger != "UserMigration":
            request = {"userAttributes": module._attr_list_to_dict(user.get("Attributes", [])), **request}
        event = {
            "version": "1", "triggerSource": source, "region": module._pool_region(pool_id), "userPoolId": pool_id,
            "userName": user["Username"],
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": client_id},
            "request": request, "response": dict(response or {}),
        }  # fmt: skip
        return self._exchange(arn, event)

    def _exchange(self, arn: str, event: Members) -> Members:
        """Call a function; return the response that it has filled in. Raises _RejectedError."""
        module, pool_id = self._module, event["userPoolId"]
        self._complete(event)
        account, region = module.get_account_id(), event["region"]
        pool_arn = f"arn:aws:cognito-idp:{region}:{account}:userpool/{pool_id}"
        result = self._bridge.call(arn, self._bridge.caller("cognito")._replace(arn=pool_arn, account=account), event)
        if result.get("refused"):
            trigger = _trigger_name(event)
            text = f"{trigger} invocation failed due to error {result['refused']}."
            raise _RejectedError("UnexpectedLambdaException", text)
        if result.get("error"):
            raise _RejectedError("UserLambdaValidationException", str(result.get("body")))
        body = result.get("body")
        answered = body.get("response") if isinstance(body, dict) else None
        if not isinstance(answered, dict):
            raise _RejectedError("InvalidLambdaResponseException", "Unrecognizable lambda output")
        return answered

    def _complete(self, event: Members) -> None:
        """Add what every event says of a user that there is."""
        pool = self._module._user_pools.get(event["userPoolId"]) or {}
        user = pool.get("_users", {}).get(event["userName"])
        attributes = event["request"].get("userAttributes")
        if user is not None and isinstance(attributes, dict):
            attributes["cognito:user_status"] = user.get("UserStatus")

    def _pool(self, data: Members) -> tuple[str, Members | None]:
        pools = self._module._user_pools
        if data.get("UserPoolId"):
            return data["UserPoolId"], pools.get(data["UserPoolId"])
        client_id = data.get("ClientId")
        return next(((key, pool) for key, pool in pools.items() if client_id in pool["_clients"]), ("", None))


def _texts(attributes: Members | None) -> Members:
    return {key: value for key, value in (attributes or {}).items() if isinstance(value, str | int | float | bool)}


def _trigger_name(event: Members) -> str:
    """Return what errors call a trigger. Source: "Lambda trigger errors"."""
    name = str(event.get("triggerSource", "")).partition("_")[0]
    return {"TokenGeneration": "PreTokenGeneration"}.get(name, name)


def _overridden(claims: Members, kind: str, answered: Members, *, is_plain: bool) -> Members:
    """Return a token's claims with what a PreTokenGeneration function wants of them; `is_plain`: event version 1."""
    whole = answered.get("claimsOverrideDetails" if is_plain else "claimsAndScopeOverrideDetails") or {}
    part = whole if is_plain else whole.get("accessTokenGeneration" if kind == "access" else "idTokenGeneration") or {}
    found = dict(claims)
    added = part.get("claimsToAddOrOverride") or {}
    found |= {name: value for name, value in added.items() if name not in _FIXED_CLAIMS}
    for name in part.get("claimsToSuppress") or ():
        if name not in _FIXED_CLAIMS:
            found.pop(name, None)
    if not is_plain and kind == "access":
        scopes = [
            one for one in str(found.get("scope") or "").split() if one not in (part.get("scopesToSuppress") or ())
        ]
        scopes += [one for one in part.get("scopesToAdd") or () if one not in scopes]
        found["scope"] = " ".join(scopes)
    groups = (whole.get("groupOverrideDetails") or {}).get("groupsToOverride")
    if isinstance(groups, list):
        found["cognito:groups"] = groups
    return found


def cognito(bridge: Bridge, module: Any) -> None:
    """User pools: the pool calls."""
    UserPools(bridge, module).take_part()


PARTICIPANTS: dict[str, Callable[[Bridge, Any], None]] = {"cognito": cognito}
