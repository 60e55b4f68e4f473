"""`lambent codecommit create | list | delete | trigger`: CodeCommit's own API, signed like any call."""

from __future__ import annotations

import json
import re
import urllib.parse
from typing import TYPE_CHECKING, Any

from lambent.cli.calling import Extras, called
from lambent.cli.failure import CommandError

if TYPE_CHECKING:
    import argparse

_TARGET = "CodeCommit_20150413"
_JSON = "application/x-amz-json-1.1"
# A push of large files is under way while somebody asks, or git packs anew.
_ANSWER_SECONDS = 130.0
_PRINCIPAL = "codecommit.amazonaws.com"
_NO_LETTERS = re.compile(r"[^A-Za-z0-9-]+")
_NAME_MAX = 100


def run_codecommit(parsed: argparse.Namespace) -> int:
    """Do what the words say and print the outcome; return 0.

    Raises:
        CommandError: the server cannot be reached or refuses, or the words say nothing that can be done.
    """
    if parsed.action == "create":
        _create(parsed)
    elif parsed.action == "list":
        _list(parsed)
    elif parsed.action == "delete":
        _delete(parsed)
    else:
        _trigger(parsed)
    return 0


def _create(parsed: argparse.Namespace) -> None:
    said = {"repositoryName": parsed.repository}
    if parsed.description is not None:
        said["repositoryDescription"] = parsed.description
    made = _call(parsed, "CreateRepository", said)["repositoryMetadata"]
    shown = {
        "Name": made["repositoryName"],
        "Arn": made["Arn"],
        "CloneUrlHttp": made["cloneUrlHttp"],
        "Directory": made["lambentDirectory"],
    }
    print(json.dumps(shown, indent=1))


def _list(parsed: argparse.Namespace) -> None:
    names, token = [], None
    while True:
        answer = _call(parsed, "ListRepositories", {"nextToken": token} if token else {})
        names += [one["repositoryName"] for one in answer["repositories"]]
        token = answer.get("nextToken")
        if token is None:
            break
    found = []
    for name in names:
        metadata = _call(parsed, "GetRepository", {"repositoryName": name})["repositoryMetadata"]
        metadata["triggers"] = _call(parsed, "GetRepositoryTriggers", {"repositoryName": name})["triggers"]
        found.append(metadata)
    if parsed.json:
        print(json.dumps(found, indent=1))
        return
    for one in found:
        print(f"{one['repositoryName']}  {one['cloneUrlHttp']}  {one['lambentDirectory']}")
        for trigger in one["triggers"]:
            print(_line(trigger))


def _delete(parsed: argparse.Namespace) -> None:
    answer = _call(parsed, "DeleteRepository", {"repositoryName": parsed.repository})
    if "repositoryId" not in answer:
        raise CommandError(f"there is no repository {parsed.repository}.")
    print(json.dumps({"Deleted": parsed.repository}))


def _trigger(parsed: argparse.Namespace) -> None:
    named = {"repositoryName": parsed.repository}
    triggers = _call(parsed, "GetRepositoryTriggers", named)["triggers"]
    if parsed.function is not None or parsed.topic is not None:
        made = _new_trigger(parsed)
        triggers = [*(one for one in triggers if one["name"] != made["name"]), made]
        _call(parsed, "PutRepositoryTriggers", {**named, "triggers": triggers})
    elif parsed.remove is not None:
        left = [one for one in triggers if one["name"] != parsed.remove]
        if len(left) == len(triggers):
            raise CommandError(f"{parsed.repository} has no trigger {parsed.remove}.")
        _call(parsed, "PutRepositoryTriggers", {**named, "triggers": left})
        triggers = left
    for one in triggers:
        print(_line(one).strip())
    if parsed.test:
        _test(parsed, triggers)


def _test(parsed: argparse.Namespace, triggers: list[dict[str, Any]]) -> None:
    answer = _call(parsed, "TestRepositoryTriggers", {"repositoryName": parsed.repository, "triggers": triggers})
    if answer["failedExecutions"]:
        said = (f"{one['trigger']}: {one['failureMessage']}" for one in answer["failedExecutions"])
        raise CommandError("; ".join(said))


def _new_trigger(parsed: argparse.Namespace) -> dict[str, Any]:
    if parsed.function is not None and parsed.topic is not None:
        raise CommandError("a trigger has one destination: --function or --topic.")
    destination = parsed.topic or _permitted(parsed)
    name = parsed.trigger_name or _NO_LETTERS.sub("-", destination.rpartition(":")[2])
    trigger = {
        "name": name[:_NAME_MAX],
        "destinationArn": destination,
        "branches": parsed.branch,
        "events": parsed.on or ["all"],
    }
    return trigger if parsed.data is None else {**trigger, "customData": parsed.data}


def _permitted(parsed: argparse.Namespace) -> str:
    """Return the ARN of the function, which lets the repository call it now, as AWS's console has it."""
    path = f"/2015-03-31/functions/{urllib.parse.quote(parsed.function, safe='')}"
    with called(parsed, f"{path}/configuration") as answer:
        arn: str = json.loads(answer.read())["FunctionArn"]
    repository = _call(parsed, "GetRepository", {"repositoryName": parsed.repository})["repositoryMetadata"]
    statement_id = f"codecommit-{_NO_LETTERS.sub('-', parsed.repository)}"[:_NAME_MAX]
    said = {
        "StatementId": statement_id,
        "Action": "lambda:InvokeFunction",
        "Principal": _PRINCIPAL,
        "SourceArn": repository["Arn"],
        "SourceAccount": repository["accountId"],
    }
    try:
        with called(parsed, f"/2015-03-31/functions/{_unqualified(arn)}/policy", **_qualified(arn),
                    method="POST", body=json.dumps(said).encode()):  # fmt: skip
            pass
    except CommandError as error:
        if "already exists" not in str(error):
            raise
    return arn


def _unqualified(arn: str) -> str:
    return urllib.parse.quote(":".join(arn.split(":")[:7]), safe="")


def _qualified(arn: str) -> dict[str, Any]:
    parts = arn.split(":")
    return {"parameters": {"Qualifier": parts[7]}} if len(parts) > 7 else {}


def _line(trigger: dict[str, Any]) -> str:
    where = ", ".join(trigger["branches"]) or "all branches"
    return f"  {trigger['name']}  {', '.join(trigger['events'])} of {where}  {trigger['destinationArn']}"


def _call(parsed: argparse.Namespace, operation: str, members: dict[str, Any]) -> dict[str, Any]:
    headers = {"content-type": _JSON, "x-amz-target": f"{_TARGET}.{operation}"}
    extras = Extras(headers, _ANSWER_SECONDS, "codecommit")
    with called(parsed, "/", method="POST", body=json.dumps(members).encode(), extras=extras) as answer:
        found: dict[str, Any] = json.loads(answer.read() or b"{}")
        return found
