"""How a setting is declared: its default, its line of documentation, its unit, and what it may be."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class Bounds(NamedTuple):
    """What a value may be: a range of numbers, one of some words, or what a check accepts (it raises ValueError).

    A value that `is_secret` is never shown, not even a wrong one.
    """

    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    check: Callable[[str], None] | None = None
    text: str = ""
    is_secret: bool = False


def setting(default: _T, doc: str, unit: str = "", bounds: Bounds = Bounds()) -> _T:  # noqa: B008 - a NamedTuple
    """Declare a setting; typed as its value so that sections read as plain dataclasses."""
    metadata = {"doc": doc, "unit": unit, "bounds": bounds}
    return field(default=default, metadata=metadata, repr=not bounds.is_secret)


def matches(pattern: str) -> Callable[[str], None]:
    """Return a check that a text is of this form as a whole."""

    def check(text: str) -> None:
        if not re.fullmatch(pattern, text):
            raise ValueError

    return check


def check_egress(text: str) -> None:
    """Check network.egress: open, none, or a list of CIDR with ports."""
    if text in ("open", "none"):
        return
    for entry in text.split(","):
        # CIDR, CIDR:PORT or CIDR:FIRST-LAST; IPv6 prefixes stand in brackets when a port follows.
        match = re.fullmatch(r"\[?(?P<cidr>[0-9a-fA-F.:]+(/\d+)?)\]?(:(?P<first>\d+)(-(?P<last>\d+))?)?", entry.strip())
        if match is None and entry.count(":") < 2:
            raise ValueError
        ipaddress.ip_network(match["cidr"] if match else entry.strip(), strict=False)


def check_url(text: str) -> None:
    """Check that a text is empty or an http or https URL."""
    if text and not re.fullmatch(r"https?://[^/\s]+(/\S*)?", text):
        raise ValueError


def check_registry(text: str) -> None:
    """Check one of images.registries: a registry's name, in which * may stand, alone or with the URL that answers."""
    name, equals, url = text.partition("=")
    if not re.fullmatch(r"[A-Za-z0-9.*:\[\]-]+", name) or (equals and not url):
        raise ValueError
    check_url(url)


def check_broker(text: str) -> None:
    """Check one of event_sources.brokers: an ARN and where it is."""
    arn, equals, address = text.partition("=")
    if not re.fullmatch(r"arn:[^:\s]*:(kafka|mq|rds|docdb):\S+", arn) or not equals or not address:
        raise ValueError


def check_database_url(text: str) -> None:
    """Check that a text is empty or the URL of a PostgreSQL database."""
    if text and not re.fullmatch(r"postgres(ql)?://\S+", text):
        raise ValueError
