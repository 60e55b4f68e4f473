"""Alexa's skills: signed requests to the endpoint, and the command that plays Alexa."""

from __future__ import annotations

import datetime
import http.client
import http.server
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.alexa_certificates import Signer, make_signer
from tests.running import LambentServer, clean_environment, create_function

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory

pytestmark = pytest.mark.slow

SKILL = "amzn1.ask.skill.4711"
_CODE = """
def handler(event, context):
    if "directive" in event:
        return {"event": {"header": {"name": "Response"}, "said": event["directive"]["header"]["name"]}}
    request = event["request"]
    if request["type"] == "SessionEndedRequest":
        return {}
    if request.get("intent", {}).get("name") == "Fail":
        raise ValueError("no")
    count = event["session"]["attributes"].get("count", 0) + 1
    slots = request.get("intent", {}).get("slots", {})
    text = " ".join([request["type"], *(f"{name}={one['value']}" for name, one in slots.items()), str(count)])
    return {
        "version": "1.0",
        "sessionAttributes": {"count": count},
        "response": {"outputSpeech": {"type": "SSML", "ssml": f"<speak>{text}</speak>"}, "shouldEndSession": count > 2},
    }
"""


@pytest.fixture(scope="module")
def signer() -> Signer:
    return make_signer()


@pytest.fixture(scope="module")
def certificates(signer: Signer) -> Iterator[str]:
    """Where Alexa's certificates are: its URL."""

    class Chains(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/echo.api/echo-api-cert-12.pem" else 404)
            self.send_header("Content-Length", str(len(signer.chain)))
            self.end_headers()
            self.wfile.write(signer.chain)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Chains)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def roots(signer: Signer) -> Iterator[Path]:
    """A file that the daemon's account may read, which pytest's own directories are closed to."""
    directory = Path(tempfile.mkdtemp(prefix="lambent-test-"))
    directory.chmod(0o755)
    file = directory / "roots.pem"
    file.write_bytes(signer.root)
    yield file
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def server(lambent_server_factory: ServerFactory, certificates: str, roots: Path) -> LambentServer:
    server = lambent_server_factory(
        {"isolation.level": "L0", "alexa.certificates_at": certificates, "alexa.roots": str(roots)}
    )
    create_function(server.client(), "skill", {"index.py": _CODE})
    for principal in ("alexa-appkit.amazon.com", "alexa-connectedhome.amazon.com"):
        server.client().add_permission(
            FunctionName="skill", StatementId=principal.partition(".")[0], Action="lambda:InvokeFunction",
            Principal=principal, EventSourceToken=SKILL,
        )  # fmt: skip
    return server


def _request(skill: str = SKILL, seconds: float = 0) -> bytes:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    application = {"applicationId": skill}
    document = {
        "version": "1.0",
        "session": {"new": True, "sessionId": "s", "application": application, "attributes": {}},
        "context": {"System": {"application": application}},
        "request": {"type": "LaunchRequest", "timestamp": f"{moment:%Y-%m-%dT%H:%M:%SZ}", "locale": "en-US"},
    }
    return json.dumps(document).encode()


def _post(server: LambentServer, body: bytes, headers: dict[str, str], function: str = "skill") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request("POST", f"/_lambent/v1/alexa/{function}", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@pytest.mark.parametrize("is_old", [False, True])
def test_a_signed_request_reaches_the_skill(server: LambentServer, signer: Signer, is_old: bool) -> None:
    body = _request()
    status, answer = _post(server, body, signer.headers(body, is_old=is_old))
    assert status == 200
    assert answer["response"]["outputSpeech"]["ssml"] == "<speak>LaunchRequest 1</speak>"


def test_what_is_not_alexas_is_refused(server: LambentServer, signer: Signer) -> None:
    body, old = _request(), _request(seconds=-200)
    other = make_signer()
    assert _post(server, body, {})[0] == 400
    assert _post(server, body + b" ", signer.headers(body))[0] == 400
    assert _post(server, body, other.headers(body))[0] == 400
    assert _post(server, old, signer.headers(old))[0] == 400
    # Before anything is verified, a skill that nothing permits is told no more than one that is not there.
    for skill, function in (("amzn1.ask.skill.another", "skill"), (SKILL, "nobody")):
        foreign = _request(skill)
        status, answer = _post(server, foreign, signer.headers(foreign), function)
        assert (status, answer["Code"]) == (403, "AccessDeniedException")


def test_checks_can_be_switched_off(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"isolation.level": "L0", "alexa.verify": "false"})
    create_function(server.client(), "skill", {"index.py": _CODE})
    assert _post(server, _request(), {})[0] == 403
    server.client().add_permission(
        FunctionName="skill", StatementId="s", Action="lambda:InvokeFunction", Principal="alexa-appkit.amazon.com"
    )
    assert _post(server, _request(), {})[0] == 200


def _lambent(server: LambentServer, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "lambent", "alexa", "simulate", *words, "--endpoint-url", server.url],
        env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_the_command_plays_alexa(server: LambentServer, tmp_path: Path) -> None:
    file = str(tmp_path / "talk")
    first = _lambent(server, "LaunchRequest", "--function", "skill", "--skill", SKILL, "--session", file)
    assert first.returncode == 0, first.stderr
    speech, _, whole = first.stdout.partition("\n")
    assert speech == "LaunchRequest 1"
    assert json.loads(whole)["sessionAttributes"] == {"count": 1}
    words = ("Order", "--slot", "size=large", "--slot", "drink=tea", "--skill", SKILL, "--session", file)
    # The only function need not be named; the conversation goes on, and its third answer ends it.
    assert _lambent(server, *words).stdout.startswith("IntentRequest size=large drink=tea 2\n")
    assert _lambent(server, *words).stdout.startswith("IntentRequest size=large drink=tea 3\n")
    assert not Path(file).exists()
    ended = _lambent(server, "SessionEndedRequest", "--skill", SKILL)
    assert (ended.returncode, ended.stdout) == (0, "{}\n")


def test_the_command_says_what_is_missing(server: LambentServer) -> None:
    refused = _lambent(server, "Order", "--function", "skill")
    assert refused.returncode == 1
    assert "no statement of its resource policy allows it" in refused.stderr
    [refusal] = [
        one
        for one in json.loads(server.get("/_lambent/v1/triggers/refusals")[1])["refusals"]
        if "amzn1.ask.skill.simulated" in one["permission"]
    ]
    assert "--event-source-token 'amzn1.ask.skill.simulated'" in refusal["permission"]
    failed = _lambent(server, "Fail", "--skill", SKILL)
    assert failed.returncode == 1
    assert "ValueError" in failed.stderr
    assert _lambent(server, "Order", "--slot", "large").returncode == 1


def test_a_smart_home_directive(server: LambentServer) -> None:
    directive = json.dumps({"directive": {"header": {"namespace": "Alexa.PowerController", "name": "TurnOn"}}})
    said = _lambent(server, "--directive", directive, "--skill", SKILL)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["event"]["said"] == "TurnOn"
    assert _lambent(server, "--directive", directive).returncode == 1
