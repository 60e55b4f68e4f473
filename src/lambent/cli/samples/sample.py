"""What a sample event is made of: who asks for it and when, and the fields that can be given."""

from __future__ import annotations

import base64
import hashlib
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Document = dict[str, object]
# strftime's names of months follow the locale.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class SampleError(Exception):
    """There is no such sample or field, or a field has a value that it cannot have."""


class Given(Struct, frozen=True):
    """For whom an event is made: the function, its account and region; `at_ms` in ms of the Unix epoch.

    `fields` are the sample's own, as texts. Ids follow from the moment: the same moment makes the same event.
    """

    account_id: str
    region: str
    function_name: str
    at_ms: int
    fields: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        """Return a field."""
        return self.fields[name]

    def number(self, name: str) -> int:
        """Return a field that is a number. Raises SampleError."""
        try:
            return int(self.fields[name])
        except ValueError:
            raise SampleError(f"{name} is a number, not {self.fields[name]!r}.") from None

    @property
    def partition(self) -> str:
        """The partition of the region."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    @property
    def function_arn(self) -> str:
        """The ARN of the function, without qualifier."""
        return self.arn("lambda", f"function:{self.function_name}")

    @property
    def at_seconds(self) -> int:
        """The moment in seconds of the Unix epoch."""
        return self.at_ms // 1_000

    @property
    def moment(self) -> datetime:
        """The moment."""
        return datetime.fromtimestamp(self.at_ms / 1_000, UTC)

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of something of this account in this region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account_id}:{resource}"

    def global_arn(self, service: str, resource: str, *, is_owned: bool = True) -> str:
        """Return the ARN of something that belongs to no region; without `is_owned` to no account either."""
        return f"arn:{self.partition}:{service}::{self.account_id if is_owned else ''}:{resource}"

    def iso(self) -> str:
        """Return the moment as 2026-01-31T12:00:00.000Z."""
        return self.moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def iso_seconds(self) -> str:
        """Return the moment as 2026-01-31T12:00:00Z."""
        return self.moment.isoformat(timespec="seconds").replace("+00:00", "Z")

    def hexadecimal(self, what: str, length: int) -> str:
        """Return hexadecimal digits, at most 64, that stand for something."""
        return hashlib.sha256(f"{what}/{self.at_ms}".encode()).hexdigest()[:length]

    def identifier(self, what: str) -> str:
        """Return a UUID that stands for something."""
        return str(uuid.UUID(hex=self.hexadecimal(what, 32), version=4))

    def digits(self, what: str, length: int) -> str:
        """Return decimal digits, at most 70, that stand for something; the first is not 0."""
        return "4" + f"{int(self.hexadecimal(what, 64), 16):080}"[1 - length :]


class Sample(Struct, frozen=True):
    """One sample: its name in `sample:NAME`, whose event it is, its fields with their defaults, and how it is made."""

    name: str
    source: str
    fields: Mapping[str, str]
    build: Callable[[Given], Document]


def encoded(text: str) -> str:
    """Return a text in base64."""
    return base64.b64encode(text.encode()).decode()
