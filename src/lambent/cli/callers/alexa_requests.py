"""Requests of Alexa as its documentation has them.

Source: Alexa Skills Kit, "Request and Response JSON Reference", "Request Types Reference (LaunchRequest,
CanFulfillIntentRequest, IntentRequest, SessionEndedRequest)".
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, field

LAUNCH = "LaunchRequest"
ENDED = "SessionEndedRequest"
_TAG = re.compile(r"<[^>]*>")


class Session(Struct):
    """A conversation: what is sent back with the next request of it."""

    session_id: str
    attributes: dict[str, Any] = field(default_factory=dict)
    is_new: bool = True


class Asked(Struct, frozen=True):
    """What is asked: an intent, LAUNCH or ENDED; slots by name; whose skill; in which language; when (ms)."""

    intent: str
    slots: dict[str, str]
    skill: str
    locale: str
    at_ms: int


def new_session() -> Session:
    """Return a conversation that begins."""
    return Session(f"amzn1.echo-api.session.{uuid.uuid4()}")


def request_document(asked: Asked, session: Session) -> dict[str, Any]:
    """Return the whole request."""
    application = {"applicationId": asked.skill}
    user = {"userId": "amzn1.ask.account.SIMULATED"}
    system = {
        "application": application,
        "user": user,
        "device": {"deviceId": "amzn1.ask.device.SIMULATED", "supportedInterfaces": {}},
        "apiEndpoint": "https://api.amazonalexa.com",
        "apiAccessToken": "simulated",
    }
    return {
        "version": "1.0",
        "session": {
            "new": session.is_new,
            "sessionId": session.session_id,
            "application": application,
            "attributes": session.attributes,
            "user": user,
        },
        "context": {"System": system},
        "request": _request(asked),
    }


def _request(asked: Asked) -> dict[str, Any]:
    moment = datetime.fromtimestamp(asked.at_ms / 1_000, UTC)
    said: dict[str, Any] = {
        "type": asked.intent if asked.intent in (LAUNCH, ENDED) else "IntentRequest",
        "requestId": f"amzn1.echo-api.request.{uuid.uuid4()}",
        "timestamp": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "locale": asked.locale,
    }
    if asked.intent == ENDED:
        return {**said, "reason": "USER_INITIATED"}
    if asked.intent == LAUNCH:
        return said
    slots = {
        name: {"name": name, "value": value, "confirmationStatus": "NONE", "source": "USER"}
        for name, value in asked.slots.items()
    }
    intent = {"name": asked.intent, "confirmationStatus": "NONE", **({"slots": slots} if slots else {})}
    return {**said, "intent": intent, "dialogState": "COMPLETED"}


def speech_of(answer: Any) -> list[str]:  # noqa: ANN401
    """Return what an answer lets Alexa say, then what it asks after a silence; tags of SSML are left out."""
    response = answer.get("response") if isinstance(answer, dict) else None
    found = []
    if isinstance(response, dict):
        reprompt = response.get("reprompt")
        spoken = (response.get("outputSpeech"), reprompt.get("outputSpeech") if isinstance(reprompt, dict) else None)
        for one in spoken:
            if isinstance(one, dict):
                text = one.get("text") if one.get("type") == "PlainText" else one.get("ssml")
                found.append(" ".join(_TAG.sub(" ", str(text or "")).split()))
    return found
