"""The documented operations on quotas, below /_lambent/v1/quotas: the caller's own account and region."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from lambent.api.local_routes import LocalRoute
from lambent.api.messages import HttpResponse
from lambent.model.errors import InvalidParameterValueError, InvalidRequestContentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambent.api.local_routes import LocalRequest
    from lambent.model.caller import Caller
    from lambent.model.quotas import QuotaState

PATH = "/_lambent/v1/quotas"


class Quotas(Protocol):
    """What the door needs of the control plane."""

    async def list_quotas(self, caller: Caller) -> Sequence[QuotaState]:
        """Return every quota as it is in force for the caller's account and region."""

    async def set_quota(self, caller: Caller, name: str, value: int | None) -> QuotaState:
        """Set a soft quota; None: the default again."""


class QuotaDoor:
    """Answers GET and PUT on quotas. Keeps no state."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas

    def routes(self) -> list[LocalRoute]:
        """Return the operations."""
        return [LocalRoute("GET", PATH, self._list), LocalRoute("PUT", PATH + "/{name}", self._set)]

    async def _list(self, request: LocalRequest) -> HttpResponse:
        assert request.caller is not None
        return _answer({"Quotas": [_form(state) for state in await self._quotas.list_quotas(request.caller)]})

    async def _set(self, request: LocalRequest) -> HttpResponse:
        assert request.caller is not None
        value = _value(request.body)
        return _answer(_form(await self._quotas.set_quota(request.caller, request.parameters["name"], value)))


def _value(body: bytes) -> int | None:
    """Return the member Value of the body: a whole number, or None for the default."""
    try:
        members = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestContentError(f"Could not parse request body into json: {error}") from error
    if not isinstance(members, dict) or set(members) != {"Value"}:
        raise InvalidParameterValueError('The body must be {"Value": NUMBER} or {"Value": null}.')
    value = members["Value"]
    if value is not None and type(value) is not int:
        raise InvalidParameterValueError("Value must be a whole number, or null for the default.")
    return value


def _form(state: QuotaState) -> dict[str, object]:
    quota = state.quota
    bounds = {"ValueMin": quota.value_min, "ValueMax": quota.value_max} if quota.is_adjustable else {}
    return {
        "Name": quota.name,
        "Value": state.value,
        "Default": state.default,
        "Kind": "soft" if quota.is_adjustable else "hard",
        **bounds,
        "Source": quota.source,
    }


def _answer(body: object) -> HttpResponse:
    return HttpResponse(200, (("Content-Type", "application/json"),), json.dumps(body, indent=1).encode() + b"\n")
