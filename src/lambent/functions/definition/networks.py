"""Networks of EC2 that functions name: whether they are there, and in which VPC they lie."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.model.errors import InvalidParameterValueError, LambdaError, ServiceError
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambent.model.caller import Caller
    from lambent.model.function import FunctionVersion, VpcConfig
    from lambent.wire.client import OutwardClient

_VPC_ID = re.compile(r"<vpcId>([^<]*)</vpcId>")


class Ec2Networks:
    """Asks EC2 at the configured endpoint, or at the embedded one, in the caller's account. Keeps no state.

    A function is never attached to a network: sandboxes have the host's, or none (docs/network.md).
    """

    def __init__(self, neighbours: OutwardClient) -> None:
        self._neighbours = neighbours

    async def attached(self, caller: Caller, function: FunctionVersion) -> FunctionVersion:
        """Return the function with the VPC that its subnets lie in; EC2 is asked only about a new configuration.

        Raises:
            InvalidParameterValueError: subnets without groups, groups without subnets, or EC2 does not know one (400).
            ServiceError: EC2 cannot be reached (500).
        Source: recorded (test_invalid_vpc_config_security_group: groups are looked at first); observed for the others.
        """
        vpc = function.vpc
        if vpc is None or vpc.vpc_id is not None:
            return function
        if bool(vpc.subnet_ids) != bool(vpc.security_group_ids):
            raise InvalidParameterValueError("SubnetIds and SecurityIds must coexist or be both empty list.")
        vpc_id = await self.vpc_id(caller, vpc) if vpc.subnet_ids else ""
        return replace(function, vpc=replace(vpc, vpc_id=vpc_id))

    async def vpc_id(self, caller: Caller, vpc: VpcConfig) -> str:
        """Return the VPC of some subnets, "" without any EC2. Raises as `attached`."""
        try:
            if vpc.security_group_ids:
                await self._describe(caller, "DescribeSecurityGroups", "GroupId", vpc.security_group_ids)
            subnets = await self._describe(caller, "DescribeSubnets", "SubnetId", vpc.subnet_ids)
        except NeighbourError as error:
            if error.status == HTTPStatus.NOT_IMPLEMENTED:
                # Without any EC2 nobody can tell: the configuration is kept as it was given.
                return ""
            raise ServiceError(f"The networks could not be described: {error.message}") from error
        match = _VPC_ID.search(subnets)
        return "" if match is None else match[1]

    async def _describe(self, caller: Caller, action: str, member: str, ids: Sequence[str]) -> str:
        parameters = {f"{member}.{number}": one for number, one in enumerate(ids, 1)}
        try:
            return await self._neighbours.query(
                "ec2", action, {**parameters, "Version": "2016-11-15"}, Principal(caller.account_id, caller.region)
            )
        except CallError as refused:
            raise _refusal(action, refused) from refused


def _refusal(action: str, refused: CallError) -> LambdaError:
    if refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServiceError(f"The networks could not be described: {refused.code} {refused.message}")
    return InvalidParameterValueError(
        f"Error occurred while {action}. EC2 Error Code: {refused.code}. EC2 Error Message: {refused.message}"
    )
