"""The triggers of user pools that MiniStack does not call: confirmation, authentication, migration.

Source: Cognito developer guide, "Customizing user pool workflows with Lambda triggers", and its page for each trigger.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.neighbours.program.bridge import Bridge

    Answer = tuple[int, dict[str, str], bytes]
    Members = dict[str, Any]

_SIGN_INS = frozenset({"USER_PASSWORD_AUTH", "ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH", "USER_SRP_AUTH"})
_CONFIRMED = "PostConfirmation_ConfirmSignUp"
_RETURNED = re.compile(r"^\w+ returned error: (\w+ failed with error .*)$", re.DOTALL)


class _RejectedError(Exception):
    """A trigger has failed, which its message says: the operation fails."""


class UserPools:
    """Calls the triggers around MiniStack's operations. Scope: process; keeps nothing."""

    def __init__(self, bridge: Bridge, module: Any) -> None:
        self._bridge = bridge
        self._module = module
        self._run_operation: Callable[[Any, str, Members], Answer] = module._run_idp_handler
        self._build_tokens = module._build_auth_result

    def take_part(self) -> None:
        """Stand around MiniStack's operations from now on."""
        vars(self._module)["_run_idp_handler"] = self.run
        vars(self._module)["_build_auth_result"] = self.build_tokens

    def run(self, operation: Any, action: str, data: Members) -> Answer:
        """Run an operation between its triggers; one that fails is the operation's failure."""
        try:
            if action in ("InitiateAuth", "AdminInitiateAuth") and data.get("AuthFlow") in _SIGN_INS:
                self._before_sign_in(data)
            answer = self._run_operation(operation, action, data)
            if answer[0] == 200:
                self._after(action, data, answer)
        except _RejectedError as error:
            return self._error("UserLambdaValidationException", str(error))
        return self._in_aws_words(answer)

    def build_tokens(self, pool_id: str, client_id: str, user: Members, *rest: Any, **named: Any) -> Any:
        """Tell of a sign-in before its tokens are made."""
        source = rest[1] if len(rest) > 1 else named.get("trigger_source", "TokenGeneration_Authentication")
        if source != "TokenGeneration_RefreshTokens":
            request = {"newDeviceUsed": False, "clientMetadata": named.get("client_metadata") or {}}
            self._call("PostAuthentication", "PostAuthentication_Authentication", (pool_id, client_id, user), request)
        return self._build_tokens(pool_id, client_id, user, *rest, **named)

    def _before_sign_in(self, data: Members) -> None:
        client_id = data.get("ClientId", "")
        pool_id, pool = self._pool(data)
        if pool is None:
            return
        parameters = data.get("AuthParameters") or {}
        name = parameters.get("USERNAME", "")
        user = self._module._resolve_user(pool, name)[0]
        if user is None and "PASSWORD" in parameters and (pool.get("LambdaConfig") or {}).get("UserMigration"):
            self._migrate((pool_id, pool), client_id, name, parameters["PASSWORD"])
            user = self._module._resolve_user(pool, name)[0]
        if user is not None:
            request = {"validationData": data.get("ClientMetadata") or {}}
            self._call("PreAuthentication", "PreAuthentication_Authentication", (pool_id, client_id, user), request)

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
            request = {"clientMetadata": data.get("ClientMetadata") or {}}
            self._call("PostConfirmation", source, (pool_id, data.get("ClientId", ""), user), request)

    def _migrate(self, pool: tuple[str, Members], client_id: str, name: str, password: str) -> None:
        """Create a user as the function says that it is; one that it does not want stays unknown."""
        request = {"password": password, "validationData": {}, "clientMetadata": {}}
        response = {
            "userAttributes": None, "finalUserStatus": None, "messageAction": None, "desiredDeliveryMediums": None,
            "forceAliasCreation": None,
        }  # fmt: skip
        user = {"Username": name}
        try:
            said = self._call(
                "UserMigration", "UserMigration_Authentication", (pool[0], client_id, user), request, response
            )
        except _RejectedError:
            # Source: "Migrate user Lambda trigger": the user is told of a wrong name or password, not of the function.
            return
        attributes = said.get("userAttributes")
        if not attributes:
            return
        module = self._module
        members = {"UserPoolId": pool[0], "Username": name}
        given = [{"Name": key, "Value": str(value)} for key, value in attributes.items() if key != "username"]
        suppress = {"MessageAction": "SUPPRESS"} if said.get("messageAction") == "SUPPRESS" else {}
        created = module._admin_create_user({**members, "UserAttributes": given, **suppress})
        if created[0] == 200:
            is_final = (said.get("finalUserStatus") or "CONFIRMED") == "CONFIRMED"
            module._admin_set_user_password({**members, "Password": password, "Permanent": is_final})

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
        attributes = module._attr_list_to_dict(user.get("Attributes", []))
        if trigger != "UserMigration":
            status = user.get("UserStatus")
            request = {"userAttributes": {**attributes, "cognito:user_status": status}, **request}
        event = {
            "version": "1", "triggerSource": source, "region": module._pool_region(pool_id), "userPoolId": pool_id,
            "userName": user["Username"],
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": client_id},
            "request": request, "response": response or {},
        }  # fmt: skip
        account, region = module.get_account_id(), event["region"]
        pool_arn = f"arn:aws:cognito-idp:{region}:{account}:userpool/{pool_id}"
        result = self._bridge.call(arn, self._bridge.caller("cognito")._replace(arn=pool_arn, account=account), event)
        if result.get("error"):
            raise _RejectedError(str(result.get("body")))
        body = result.get("body")
        answered = body.get("response") if isinstance(body, dict) else None
        return answered if isinstance(answered, dict) else {}

    def _pool(self, data: Members) -> tuple[str, Members | None]:
        pools = self._module._user_pools
        if data.get("UserPoolId"):
            return data["UserPoolId"], pools.get(data["UserPoolId"])
        client_id = data.get("ClientId")
        return next(((key, pool) for key, pool in pools.items() if client_id in pool["_clients"]), ("", None))

    def _in_aws_words(self, answer: Answer) -> Answer:
        """A trigger's failure, which MiniStack calls a wrong answer, under AWS's name."""
        if answer[0] != 400:
            return answer
        match = _RETURNED.match(str(json.loads(answer[2]).get("message", "")))
        return answer if match is None else self._error("UserLambdaValidationException", match[1])

    def _error(self, code: str, text: str) -> Answer:
        answer: Answer = self._module.error_response_json(code, text, 400)
        return answer


def cognito(bridge: Bridge, module: Any) -> None:
    """User pools: the pool calls."""
    UserPools(bridge, module).take_part()


PARTICIPANTS: dict[str, Callable[[Bridge, Any], None]] = {"cognito": cognito}
