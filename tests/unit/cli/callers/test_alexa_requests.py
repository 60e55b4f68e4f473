"""Requests of Alexa, and what answers let it say."""

from __future__ import annotations

import pytest

from lambent.cli.callers.alexa_requests import ENDED, LAUNCH, Asked, Session, new_session, request_document, speech_of

SESSION = Session("amzn1.echo-api.session.1", {"count": 1}, is_new=False)


def _asked(intent: str, **slots: str) -> Asked:
    return Asked(intent, slots, "amzn1.ask.skill.1", "de-DE", 1_767_268_800_000)


def test_every_request_says_whose_it_is() -> None:
    document = request_document(_asked(LAUNCH), SESSION)
    assert document["version"] == "1.0"
    assert document["session"] == {
        "new": False,
        "sessionId": "amzn1.echo-api.session.1",
        "application": {"applicationId": "amzn1.ask.skill.1"},
        "attributes": {"count": 1},
        "user": {"userId": "amzn1.ask.account.SIMULATED"},
    }
    assert document["context"]["System"]["application"] == {"applicationId": "amzn1.ask.skill.1"}
    assert document["context"]["System"]["device"]["supportedInterfaces"] == {}
    request = document["request"]
    assert request.pop("requestId").startswith("amzn1.echo-api.request.")
    assert request == {"type": "LaunchRequest", "timestamp": "2026-01-01T12:00:00Z", "locale": "de-DE"}
    assert new_session().is_new


def test_an_intent_has_its_slots() -> None:
    request = request_document(_asked("Order", size="large"), SESSION)["request"]
    assert (request["type"], request["dialogState"]) == ("IntentRequest", "COMPLETED")
    assert request["intent"] == {
        "name": "Order",
        "confirmationStatus": "NONE",
        "slots": {"size": {"name": "size", "value": "large", "confirmationStatus": "NONE", "source": "USER"}},
    }
    bare = request_document(_asked("AMAZON.HelpIntent"), SESSION)["request"]["intent"]
    assert bare == {"name": "AMAZON.HelpIntent", "confirmationStatus": "NONE"}


def test_a_session_ends_for_a_reason() -> None:
    request = request_document(_asked(ENDED), SESSION)["request"]
    assert (request["type"], request["reason"]) == ("SessionEndedRequest", "USER_INITIATED")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"response": {"outputSpeech": {"type": "PlainText", "text": "Hello"}}}, ["Hello"]),
        (
            {
                "response": {
                    "outputSpeech": {"type": "SSML", "ssml": "<speak>One<break time='1s'/>two</speak>"},
                    "reprompt": {"outputSpeech": {"type": "PlainText", "text": "Well?"}},
                }
            },
            ["One two", "Well?"],
        ),
        ({"response": {}}, []),
        ({"response": {"outputSpeech": "x", "reprompt": 1}}, []),
        (None, []),
    ],
)
def test_speech(answer: object, said: list[str]) -> None:
    assert speech_of(answer) == said
