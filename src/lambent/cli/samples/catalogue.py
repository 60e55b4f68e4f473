"""All samples, and how one is made with what the caller says of it."""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.cli.samples import deployment, devices, edge, messages, requests, rules, stored, streams, users
from lambent.cli.samples.sample import Given, SampleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.cli.samples.sample import Sample

SAMPLES: Mapping[str, Sample] = {
    sample.name: sample
    for family in (stored, messages, streams, rules, requests, users, edge, devices, deployment)
    for sample in family.SAMPLES
}
_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+")


def sample_event(name: str, given: Given, told: Mapping[str, str]) -> object:
    """Return a sample event. `told`: values of its fields, of `account` and `region`, or of any place in it.

    A place is a path such as `Records.0.eventName`. What stands there keeps its type: a text stays one, everything
    else is given as JSON.

    Raises:
        SampleError: there is no such sample, field or place, or a value is not one that it can have.
    """
    sample = SAMPLES.get(name)
    if sample is None:
        near = difflib.get_close_matches(name, SAMPLES, 1)
        hint = f"did you mean {near[0]}?" if near else "`lambent invoke --list-samples` lists them."
        raise SampleError(f"There is no sample {name}; {hint}")
    places = {path: value for path, value in told.items() if path not in sample.fields and path not in _AROUND}
    fields = {**sample.fields, **{field: value for field, value in told.items() if field in sample.fields}}
    event: object = sample.build(replace(_around(given, told), fields=fields))
    for path, value in places.items():
        _put(event, path, value, sample)
    return event


_AROUND = frozenset({"account", "region"})


def _around(given: Given, told: Mapping[str, str]) -> Given:
    account_id, region = told.get("account", given.account_id), told.get("region", given.region)
    if not _ACCOUNT.fullmatch(account_id):
        raise SampleError(f"account has 12 digits, not {account_id!r}.")
    if not _REGION.fullmatch(region):
        raise SampleError(f"region is no name of a region: {region!r}.")
    return replace(given, account_id=account_id, region=region)


def _put(event: object, path: str, text: str, sample: Sample) -> None:
    *steps, last = path.split(".")
    place = event
    for step in steps:
        place = _inside(place, step, path, sample)
    value: object = text
    if not isinstance(_inside(place, last, path, sample), str):
        try:
            value = json.loads(text)
        except ValueError:
            raise SampleError(f"{path} is no text in this event: its value must be JSON, not {text!r}.") from None
    if isinstance(place, dict):
        place[last] = value
    elif isinstance(place, list):
        place[int(last)] = value


def _inside(place: object, step: str, path: str, sample: Sample) -> object:
    if isinstance(place, dict) and step in place:
        return place[step]
    if isinstance(place, list) and step.isdecimal() and int(step) < len(place):
        return place[int(step)]
    known = ", ".join((*sample.fields, *sorted(_AROUND)))
    raise SampleError(f"{sample.name} has no field and no place {path}; its fields are {known}.")
