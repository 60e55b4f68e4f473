"""A call of a function by another service: who calls, in whose name, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lambent.model.arn import FunctionArn


class TriggerSource(NamedTuple):
    """Who calls: a service's principal ("s3.amazonaws.com"), the ARN of what made it call, the account that owns that.

    `has_role`: it calls with a role of the function's account, so no resource policy is asked.
    """

    principal: str
    arn: str = ""
    account_id: str = ""
    has_role: bool = False


class TriggeredCall(NamedTuple):
    """One call. `payload` is JSON text. `is_event`: nobody waits for what the function answers. `is_check`: it only
    asks whether it would be permitted.

    `dead_letter_arn` is the queue that takes an event which cannot be delivered; `attributes` are what its message
    says besides, by name.
    """

    function: FunctionArn
    source: TriggerSource
    payload: bytes
    is_event: bool
    dead_letter_arn: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    is_check: bool = False


class TriggeredAnswer(NamedTuple):
    """What came of a call. `code` is empty, or AWS's code of why there was no invocation, and `payload` its text.

    `is_function_error`: the function ran and failed; `payload` is its error as JSON.
    """

    payload: bytes = b""
    code: str = ""
    is_function_error: bool = False
