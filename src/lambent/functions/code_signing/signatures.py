"""Is this code trusted? A signature can only be verified with AWS Signer's profiles, which nobody has here.

So no package and no layer is ever taken for signed: Enforce refuses them all, Warn lets them pass and says so.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from lambent.model.code_signing import CodeSigningConfig, CodeSigningFence, CodeSigningPolicy, FunctionCodeSigning
from lambent.model.errors import InvalidParameterValueError, LambdaError
from lambent.model.function import PackageType
from lambent.model.platform_event import SignatureUnverified

if TYPE_CHECKING:
    from lambent.functions.ids import Ids
    from lambent.functions.parts import ControlPlaneParts
    from lambent.model.arn import FunctionArn
    from lambent.model.caller import Caller
    from lambent.model.function import FunctionVersion
    from lambent.store.contracts import Write

# Source: service description, shape CodeSigningConfigArn.
_ARN = re.compile(r"arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):code-signing-config:(?P<id>.+)")


class Signatures:
    """Looks up configurations and judges deployments. Keeps no state."""

    def __init__(self, parts: ControlPlaneParts, ids: Ids) -> None:
        self._resources = parts.store.resources
        self._clock = parts.clock
        self._note = parts.note
        self._ids = ids
        self._log = logging.getLogger(__name__)

    async def find(self, caller: Caller, config_arn: str) -> CodeSigningConfig | None:
        """Return the configuration of an ARN; another account's or region's is not there for the caller."""
        match = _ARN.fullmatch(config_arn)
        if match is None or (match["account"], match["region"]) != (caller.account_id, caller.region):
            return None
        return await self._resources.get(CodeSigningConfig, caller.account_id, caller.region, match["id"])

    async def usable(self, caller: Caller, config_arn: str) -> CodeSigningConfig:
        """Return the configuration that a function shall have.

        Raises:
            CodeSigningConfigNotFoundException: there is none (404).
        Source: recorded (test_code_signing_not_found_excs).
        """
        config = await self.find(caller, config_arn)
        if config is None:
            raise LambdaError(
                "The code signing configuration cannot be found. "
                f"Check that the provided configuration is not deleted: {config_arn}.",
                code="CodeSigningConfigNotFoundException",
            )
        return config

    async def of_function(self, arn: FunctionArn) -> CodeSigningConfig | None:
        """Return the configuration that a function has."""
        kept = await self._resources.get(FunctionCodeSigning, arn.account_id, arn.region, arn.name)
        if kept is None:
            return None
        return await self._resources.get(CodeSigningConfig, arn.account_id, arn.region, kept.config_id)

    def attachment(self, arn: FunctionArn, config: CodeSigningConfig) -> tuple[Write, ...]:
        """Return the writes that give a function its configuration, which must still be there then."""
        resources = self._resources
        kept = FunctionCodeSigning(arn.account_id, arn.region, arn.name, config.config_id, self._ids.new())
        fence = CodeSigningFence(config.account_id, config.region, config.config_id, self._ids.new())
        there = resources.require(config, is_any_revision=True)
        return there, resources.put_over(fence), resources.put_over(kept)

    async def check_new(self, caller: Caller, function: FunctionVersion, config_arn: str | None) -> tuple[Write, ...]:
        """Judge the code of a function to be created; return the writes that give it its configuration.

        Raises: see `usable`, `check` and `check_package_type`.
        """
        if config_arn is None:
            return ()
        check_package_type(function)
        config = await self.usable(caller, config_arn)
        self._judge(function.arn, config)
        return self.attachment(function.arn, config)

    async def check(self, arn: FunctionArn) -> None:
        """Judge new code, or new layers, of a function.

        Raises:
            CodeVerificationFailedException: its configuration says Enforce (400). Source: observed.
        """
        config = await self.of_function(arn)
        if config is not None:
            self._judge(arn, config)

    def _judge(self, arn: FunctionArn, config: CodeSigningConfig) -> None:
        if config.policy is CodeSigningPolicy.ENFORCE:
            raise LambdaError(
                "Lambda cannot deploy the function. The function or layer might be signed using a signature that the "
                f"client is not configured to accept. Check the provided signature for {arn.name}.",
                code="CodeVerificationFailedException",
            )
        self._note(SignatureUnverified(arn.account_id, arn.region, arn.name, self._clock.time_ms()))
        self._log.warning("%s: code without a verified signature was deployed; %s only warns", arn, config.arn)


def check_package_type(function: FunctionVersion) -> None:
    """Refuse code signing for what is no zip.

    Raises:
        InvalidParameterValueError: the function is made from an image (400). Source: developer guide.
    """
    if function.package_type is PackageType.IMAGE:
        raise InvalidParameterValueError("Code signing is not supported for functions created with container images.")
