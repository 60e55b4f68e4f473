"""docs/services.md: which services of AWS answer, how much of each, what survives, what tests them, what is missing.

All but the gaps is counted: operations from AWS's descriptions, what is known of them from the index of those served
here and from the text of the embedded services, tests by the clients that they make.
"""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader

from lambent.api.operations import OPERATIONS
from lambent.startup import embedded_packages
from lambent.wire.addressing import NEIGHBOURS

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent.parent
# Served by Lambent itself, beside Lambda.
OWN = ("codecommit", "codedeploy", "scheduler")
# Names on AWS's command line that its descriptions or the embedded services do not have.
_DESCRIBED = {"iotdata": "iot-data", "s3files": "s3files"}
_EMBEDDED = {
    "elbv2": "elasticloadbalancing", "cloudwatch": "monitoring", "stepfunctions": "states", "efs": "elasticfilesystem",
    "emr": "elasticmapreduce", "mwaa": "airflow", "resourcegroupstaggingapi": "tagging", "waf-regional": "waf",
}  # fmt: skip
_SECOND_DESCRIPTIONS = {"apigateway": "apigatewayv2", "ses": "sesv2"}
_NO_SERVERS = "describes and configures; starts no servers"
_NO_MACHINES = "describes and configures; runs nothing"
_NEWEST = "held in memory and written from time to time: a kill may lose the newest"
# What users meet. A test in brackets holds it.
GAPS = {
    "apigateway": "WebSocket APIs are refused (`tests/scenario/triggers/test_apis.py`)",
    "appsync": "JavaScript is refused",
    "batch": _NO_MACHINES,
    "cloudfront": "JavaScript is refused",
    "codebuild": _NO_MACHINES,
    "codecommit": "no pull requests, approvals, merges, no commits by the API, no ssh",
    "codedeploy": "what is about Lambda alone",
    "dynamodb": f"items are {_NEWEST}",
    "ec2": f"{_NO_MACHINES} (`tests/scenario/neighbours/test_networks_and_images.py`: functions' networks)",
    "ecr": "no registry: images come from a real one by endpoint, or by `lambent images import`",
    "ecs": _NO_MACHINES,
    "eks": _NO_MACHINES,
    "elasticache": _NO_SERVERS,
    "emr": _NO_MACHINES,
    "glue": "jobs fail (`tests/scenario/neighbours/test_services.py`)",
    "kafka": f"{_NO_SERVERS}: real brokers by event_sources.brokers",
    "kinesis": f"records are {_NEWEST}",
    "lambda": "see [operations](operations.md)",
    "logs": "keeps some 40,000 lines, lost with a kill; subscription filters deliver to functions only",
    "mq": f"{_NO_SERVERS}: real brokers by event_sources.brokers",
    "mwaa": _NO_MACHINES,
    "opensearch": _NO_SERVERS,
    "rds": _NO_SERVERS,
    "s3": f"objects are {_NEWEST}",
    "sns": "links in messages begin with `http://localhost`",
    "sqs": f"messages are {_NEWEST}",
    "transfer": "no SFTP server",
}


_HEAD = """\
# Services

Written by `scripts/docs`: the services of AWS that answer at the endpoint, by their names on AWS's command line.
[The services around Lambda](neighbours.md) says how to put a real one in the place of each.

- **who answers**: Lambent itself, or the embedded services, whose version is pinned.
- **operations**: how many of those that AWS describes are known there, counted from the code. Of the embedded ones the
  name stands in it: that says that it answers, not how well.
- **after a kill**: *as answered* is what was committed before the answer; *configuration* is what is written before the
  answer, with data from time to time. *tested*: `tests/scenario/neighbours/test_kept.py` kills and compares.
- **tested**: whether Lambent's tests call the service, from outside or from inside a function. One that none calls may
  still work.
- **gaps**: what is known to be missing, and the test that holds it.
"""


class Answerer(NamedTuple):
    """Who answers a service, and which of its operations that knows."""

    who: str
    known: set[str]
    survives: str


def page() -> str:
    """Return docs/services.md."""
    users = _users()
    rows = [_row("lambda", users)]
    rows += [_row(name, users) for name in sorted({*NEIGHBOURS, *OWN})]
    head = ("service", "who answers", "operations", "after a kill", "tested", "gaps")
    lines = [head, tuple("---" for _ in head), *rows]
    table = "".join("| " + " | ".join(line) + " |\n" for line in lines)
    return f"{_HEAD}\n{table}"


def _row(name: str, users: set[str]) -> tuple[str, ...]:
    described = _described(name)
    answerer = _answerer(name, described)
    count = f"{len(answerer.known & described)} of {len(described)}" if described else "not described"
    survives = f"{answerer.survives}, tested" if name in _kept() else answerer.survives
    return (f"`{name}`", answerer.who, count, survives, "yes" if name in users else "no", GAPS.get(name, ""))


def _answerer(name: str, described: set[str]) -> Answerer:
    if name == "lambda":
        return Answerer("Lambent", set(OPERATIONS), "as answered")
    if name in OWN:
        generated: Any = import_module(f"lambent.wire.generated.{name}_service")
        return Answerer("Lambent", {row[0] for row in generated.OPERATIONS}, "as answered")
    texts = list(_texts(name))
    if not texts:
        return Answerer("nobody", set(), "")
    text = "\n".join(texts)
    words = set(re.findall(r"\w+", text))
    known = {one for one in described if one in words or _snake(one) in words or f"_{_snake(one)}" in words}
    keeps = "def get_state" in text or "get_state" in words
    return Answerer("embedded", known, "configuration" if keeps else "nothing")


def _texts(name: str) -> Iterable[str]:
    """Yield the text of the embedded services' modules for a service."""
    package = Path(embedded_packages() or "") / "ministack"
    tree = ast.parse((package / "app.py").read_text())
    registry: dict[str, Any] = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "SERVICE_REGISTRY"
    )
    wanted = _EMBEDDED.get(name, name)
    for key, row in registry.items():
        if wanted == key or wanted in row.get("aliases", ()) or wanted.replace("-", "") == key:
            for module in (row["module"], *row.get("sub_modules", ())):
                place = package / "services" / module
                files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
                yield from (file.read_text() for file in files)


def _described(name: str) -> set[str]:
    found: set[str] = set()
    for each in (_DESCRIBED.get(name, name), _SECOND_DESCRIPTIONS.get(name)):
        if each is not None:
            try:
                found |= set(Loader().load_service_model(each, "service-2")["operations"])
            except UnknownServiceError:
                continue
    return found


def _kept() -> set[str]:
    """Return the services of which a test compares everything before and after a kill."""
    tree = ast.parse((ROOT / "tests" / "scenario" / "neighbours" / "kinds.py").read_text())
    [kinds] = [node for node in tree.body if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "KINDS"]
    tuples = [node for node in ast.walk(kinds) if isinstance(node, ast.Tuple) and len(node.elts) == 3]
    return {str(one.elts[0].value) for one in tuples if isinstance(one.elts[0], ast.Constant)}


def _users() -> set[str]:
    """Return the services that tests make a client of, in Python or JavaScript."""
    users = _kept()
    for path in (ROOT / "tests").rglob("*.py"):
        text = path.read_text()
        for name in re.findall(r"client\(\s*(?:\w+, )?\"([a-z0-9-]+)\"|@aws-sdk/client-([a-z0-9-]+)", text):
            users.add(_command_name(name[0] or name[1]))
        if ".client()" in text:
            users.add("lambda")
    return users


def _command_name(name: str) -> str:
    return {"sfn": "stepfunctions", "eventbridge": "events", "cloudwatch-logs": "logs", "apigatewayv2": "apigateway",
            "cognito-identity-provider": "cognito-idp", "sesv2": "ses"}.get(name, name)  # fmt: skip


def _snake(name: str) -> str:
    text = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text).lower()
