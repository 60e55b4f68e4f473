"""Resource policies: what a statement says, and whether a request is allowed.

The rule is IAM's: a statement that denies wins, one that allows is needed. Pure; documents arrive as decoded JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from lambent.model.configs.policy_conditions import OPERATORS, Condition, is_like, is_met
from lambent.model.errors import InvalidParameterValueError

if TYPE_CHECKING:
    from collections.abc import Iterable

_VERSIONS = ("2012-10-17", "2008-10-17")
_PRINCIPAL_KINDS = frozenset(("AWS", "Service", "Federated", "CanonicalUser"))
_DOCUMENT_MEMBERS = frozenset(("Version", "Id", "Statement"))
_STATEMENT_MEMBERS = frozenset(
    ("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
)


class FunctionPolicy(Struct, frozen=True):
    """The policy of a function (`qualifier` ""), version or alias; `document` is the JSON text that is answered."""

    account_id: str
    region: str
    name: str
    qualifier: str
    document: str
    revision_id: str


class Principal(Struct, frozen=True):
    """Who asks: a service ("s3.amazonaws.com"), or an identity (ARN, 12-digit account), or nobody known (all None)."""

    service: str | None = None
    arn: str | None = None
    account_id: str | None = None


class Names(Struct, frozen=True):
    """What an element of a statement names: patterns, and whether it means everything else (NotAction and the like)."""

    patterns: tuple[str, ...]
    is_negated: bool = False

    def covers(self, text: str, *, ignores_case: bool = False) -> bool:
        """Whether the element is about `text`."""
        wanted = text.lower() if ignores_case else text
        found = any(is_like(pattern.lower() if ignores_case else pattern, wanted) for pattern in self.patterns)
        return found is not self.is_negated


class Statement(Struct, frozen=True):
    """One statement. `principals` are (kind, value): ("Service", "s3.amazonaws.com"), ("AWS", ARN), ("*", "*")."""

    sid: str | None
    is_allow: bool
    principals: tuple[tuple[str, str], ...]
    is_principal_negated: bool
    actions: Names
    resources: Names
    conditions: tuple[Condition, ...] = ()

    def applies(self, principal: Principal, action: str, resource: str, context: Mapping[str, str]) -> bool:
        """Whether the statement is about this request."""
        is_named = any(_is_principal(kind, value, principal) for kind, value in self.principals)
        return (
            is_named is not self.is_principal_negated
            and self.actions.covers(action, ignores_case=True)
            and self.resources.covers(resource)
            and all(is_met(condition, context) for condition in self.conditions)
        )


def is_allowed(
    principal: Principal,
    action: str,
    resource: str,
    policies: Iterable[Sequence[Statement]],
    context: Mapping[str, str] | None = None,
) -> bool:
    """Return whether these policies let `principal` do `action` on `resource` (an ARN).

    `context` holds condition keys, spelled in any case: {"AWS:SourceArn": "arn:…"}.
    """
    known = {key.lower(): value for key, value in (context or {}).items()}
    found = [
        statement.is_allow
        for policy in policies
        for statement in policy
        if statement.applies(principal, action, resource, known)
    ]
    return bool(found) and all(found)


def is_denied(
    principal: Principal,
    action: str,
    resource: str,
    policies: Iterable[Sequence[Statement]],
    context: Mapping[str, str] | None = None,
) -> bool:
    """Return whether one of these policies denies it, whatever else allows it. `context` as in `is_allowed`."""
    known = {key.lower(): value for key, value in (context or {}).items()}
    return any(
        not statement.is_allow and statement.applies(principal, action, resource, known)
        for policy in policies
        for statement in policy
    )


def statements_of(document: object) -> tuple[Statement, ...]:
    """Return the statements of a policy document (decoded JSON).

    Raises:
        InvalidParameterValueError: it is no policy (400). Source: IAM user guide, grammar of the policy language.
    """
    if not isinstance(document, Mapping):
        raise _invalid("it is not a JSON object")
    _refuse_unknown(document, _DOCUMENT_MEMBERS, "The document")
    if document.get("Version", _VERSIONS[0]) not in _VERSIONS:
        raise _invalid(f"Version must be one of {', '.join(_VERSIONS)}")
    if not isinstance(document.get("Id", ""), str):
        raise _invalid("Id must be a string")
    given = document.get("Statement")
    items = [given] if isinstance(given, Mapping) else given
    if not isinstance(items, Sequence) or isinstance(items, str) or not items:
        raise _invalid("Statement must be a statement or a list of statements")
    statements = tuple(_statement(item) for item in items)
    sids = [statement.sid for statement in statements if statement.sid is not None]
    if len(set(sids)) != len(sids):
        raise _invalid("statement ids (Sid) must be unique")
    return statements


def _statement(item: object) -> Statement:
    if not isinstance(item, Mapping):
        raise _invalid("a statement must be a JSON object")
    _refuse_unknown(item, _STATEMENT_MEMBERS, "A statement")
    sid = item.get("Sid")
    if sid is not None and not isinstance(sid, str):
        raise _invalid("Sid must be a string")
    effect = item.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise _invalid("Effect must be Allow or Deny")
    principals, is_negated = _principals(item)
    if is_negated and effect == "Allow":
        # Source: IAM user guide, NotPrincipal: only with Deny.
        raise _invalid("NotPrincipal may only be used with Effect Deny")
    return Statement(
        sid,
        effect == "Allow",
        principals,
        is_negated,
        _names(item, "Action"),
        _names(item, "Resource"),
        _conditions(item.get("Condition", {})),
    )


def _principals(item: Mapping[str, object]) -> tuple[tuple[tuple[str, str], ...], bool]:
    if ("Principal" in item) is ("NotPrincipal" in item):
        raise _invalid("a statement must have either Principal or NotPrincipal")
    is_negated = "NotPrincipal" in item
    given = item["NotPrincipal" if is_negated else "Principal"]
    if given == "*":
        return (("*", "*"),), is_negated
    if not isinstance(given, Mapping) or not given or not set(given) <= _PRINCIPAL_KINDS:
        raise _invalid(f"a principal must be * or an object with {', '.join(sorted(_PRINCIPAL_KINDS))}")
    found = [(kind, value) for kind, values in given.items() for value in _texts(values, f"Principal {kind}")]
    return tuple(found), is_negated


def _names(item: Mapping[str, object], element: str) -> Names:
    negated = f"Not{element}"
    if (element in item) is (negated in item):
        raise _invalid(f"a statement must have either {element} or {negated}")
    return Names(_texts(item.get(element, item.get(negated)), element), negated in item)


def _conditions(given: object) -> tuple[Condition, ...]:
    if not isinstance(given, Mapping):
        raise _invalid("Condition must be a JSON object")
    found = []
    for operator, keys in given.items():
        name = str(operator).rpartition(":")[2].removesuffix("IfExists")
        if name not in OPERATORS:
            raise _invalid(f"{operator} is no condition operator")
        if not isinstance(keys, Mapping):
            raise _invalid(f"{operator} must be an object of condition keys")
        found += [Condition(str(operator), str(key), _values(values, str(key))) for key, values in keys.items()]
    return tuple(found)


def _values(given: object, key: str) -> tuple[str, ...]:
    items = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    if not all(isinstance(item, str | int | float | bool) for item in items):
        raise _invalid(f"the values of {key} must be strings")
    return tuple(str(item).lower() if isinstance(item, bool) else str(item) for item in items)


def _texts(given: object, element: str) -> tuple[str, ...]:
    items = [given] if isinstance(given, str) else given
    if not isinstance(items, Sequence) or not items or not all(isinstance(item, str) and item for item in items):
        raise _invalid(f"{element} must be a string or a list of strings")
    return tuple(items)


def _is_principal(kind: str, value: str, principal: Principal) -> bool:
    if kind == "*":
        return True
    if kind == "Service":
        return principal.service == value
    if kind != "AWS" or principal.service is not None:
        return False
    if value == "*":
        return True
    if principal.account_id is not None and value in (
        principal.account_id,
        f"arn:aws:iam::{principal.account_id}:root",
    ):
        return True
    return principal.arn is not None and (value == principal.arn or _is_role_of_session(value, principal.arn))


def _is_role_of_session(role_arn: str, session_arn: str) -> bool:
    """Whether a session is one of a role: a statement may name either. A session's ARN leaves out the role's path."""
    session, role = session_arn.split(":", 5), role_arn.split(":", 5)
    if len(session) != 6 or len(role) != 6 or session[2] != "sts" or not session[5].startswith("assumed-role/"):
        return False
    wanted = [session[0], session[1], "iam", session[3], session[4]]
    return role[:5] == wanted and role[5].startswith("role/") and role[5].split("/")[-1] == session[5].split("/")[1]


def _refuse_unknown(given: Mapping[str, object], known: frozenset[str], what: str) -> None:
    unknown = sorted(str(member) for member in set(given) - known)
    if unknown:
        raise _invalid(f"{what} may not have {', '.join(unknown)}")


def _invalid(reason: str) -> InvalidParameterValueError:
    return InvalidParameterValueError(f"The provided policy document is invalid: {reason}.")
