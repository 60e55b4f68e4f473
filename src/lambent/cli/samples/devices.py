"""Sample events of what listens to people and things: Alexa, Lex, Connect, IoT."""

from __future__ import annotations

from lambent.cli.samples.sample import Document, Given, Sample


def alexa_skill(given: Given) -> Document:
    """Return a request to a custom skill of Alexa."""
    # Source: Alexa Skills Kit, "Request and Response JSON Reference".
    skill = f"amzn1.ask.skill.{given['skill']}"
    user = {"userId": "amzn1.ask.account.EXAMPLE"}
    request: Document = {
        "type": "IntentRequest",
        "requestId": f"amzn1.echo-api.request.{given.identifier('request')}",
        "timestamp": given.iso_seconds(),
        "locale": given["locale"],
        "dialogState": "COMPLETED",
        "intent": {
            "name": given["intent"],
            "confirmationStatus": "NONE",
            "slots": {"Name": {"name": "Name", "value": given["value"], "confirmationStatus": "NONE"}},
        },
    }
    system = {
        "application": {"applicationId": skill},
        "user": user,
        "device": {"deviceId": "amzn1.ask.device.EXAMPLE", "supportedInterfaces": {}},
        "apiEndpoint": "https://api.amazonalexa.com",
        "apiAccessToken": "example-token",
    }
    return {
        "version": "1.0",
        "session": {
            "new": True,
            "sessionId": f"amzn1.echo-api.session.{given.identifier('session')}",
            "application": {"applicationId": skill},
            "attributes": {},
            "user": user,
        },
        "context": {"System": system},
        "request": request,
    }


def alexa_home(given: Given) -> Document:
    """Return a directive to a smart home skill of Alexa."""
    # Source: Alexa, "Alexa.PowerController Interface".
    header = {
        "namespace": "Alexa.PowerController",
        "name": given["directive"],
        "payloadVersion": "3",
        "messageId": given.identifier("message"),
        "correlationToken": "example-correlation-token",
    }
    scope = {"type": "BearerToken", "token": "example-access-token"}
    return {
        "directive": {
            "header": header,
            "endpoint": {"scope": scope, "endpointId": given["endpoint"], "cookie": {}},
            "payload": {},
        }
    }


def lex(given: Given) -> Document:
    """Return what a bot of Lex V2 asks its function."""
    # Source: Lex V2 developer guide, "AWS Lambda input event format for Lex V2".
    slot = {"originalValue": given["value"], "interpretedValue": given["value"], "resolvedValues": [given["value"]]}
    intent: Document = {
        "name": given["intent"],
        "slots": {"City": {"shape": "Scalar", "value": slot}},
        "state": "InProgress",
        "confirmationState": "None",
    }
    return {
        "messageVersion": "1.0",
        "invocationSource": given["source"],
        "inputMode": "Text",
        "responseContentType": "text/plain; charset=utf-8",
        "sessionId": given.digits("session", 15),
        "inputTranscript": given["text"],
        "bot": {
            "id": "ABCDEFGHIJ",
            "name": given["bot"],
            "aliasId": "TSTALIASID",
            "aliasName": "TestBotAlias",
            "localeId": "en_US",
            "version": "DRAFT",
        },
        "interpretations": [{"intent": intent, "interpretationSource": "Lex", "nluConfidence": 0.95}],
        "proposedNextState": {"dialogAction": {"type": "Delegate"}, "intent": intent, "prompt": {"attempt": "Initial"}},
        "requestAttributes": {},
        "sessionState": {
            "activeContexts": [],
            "sessionAttributes": {},
            "runtimeHints": {},
            "dialogAction": {"type": "Delegate"},
            "intent": intent,
            "originatingRequestId": given.identifier("request"),
        },
        "transcriptions": [
            {
                "transcription": given["text"],
                "transcriptionConfidence": 1.0,
                "resolvedContext": {"intent": given["intent"]},
                "resolvedSlots": {},
            }
        ],
    }


def connect(given: Given) -> Document:
    """Return what a flow of Amazon Connect asks."""
    # Source: Connect administrator guide, "Invoke AWS Lambda functions".
    instance = given.arn("connect", f"instance/{given.identifier('instance')}")
    contact = given.identifier("contact")
    data: Document = {
        "Attributes": {},
        "AwsRegion": given.region,
        "Channel": "VOICE",
        "ContactId": contact,
        "CustomerEndpoint": {"Address": given["caller"], "Type": "TELEPHONE_NUMBER"},
        "CustomerId": None,
        "Description": None,
        "InitialContactId": contact,
        "InitiationMethod": "INBOUND",
        "InstanceARN": instance,
        "LanguageCode": "en-US",
        "MediaStreams": {"Customer": {"Audio": None}},
        "Name": None,
        "PreviousContactId": contact,
        "Queue": None,
        "References": {},
        "SystemEndpoint": {"Address": "+12065550101", "Type": "TELEPHONE_NUMBER"},
    }
    return {"Name": "ContactFlowEvent", "Details": {"ContactData": data, "Parameters": {"key": given["parameter"]}}}


def iot_rule(given: Given) -> Document:
    """Return a message that a rule of IoT hands on: whatever its SELECT says."""
    return {
        "topic": given["topic"],
        "deviceId": given["device"],
        "temperature": given.number("temperature"),
        "timestamp": given.at_ms,
    }


def iot_button(given: Given) -> Document:
    """Return the press of a button."""
    # Source: developer guide of AWS IoT 1-Click, "Events".
    return {"serialNumber": given["device"], "clickType": given["click"], "batteryVoltage": "2000mV"}


SAMPLES = (
    Sample(
        "alexa-skill",
        "Alexa: a custom skill",
        {"skill": "01234567-89ab-cdef-0123-456789abcdef", "intent": "HelloIntent", "value": "Ada", "locale": "en-US"},
        alexa_skill,
    ),
    Sample(
        "alexa-smart-home", "Alexa: a smart home skill", {"directive": "TurnOn", "endpoint": "endpoint-001"}, alexa_home
    ),
    Sample(
        "lex",
        "Amazon Lex V2: a bot",
        {
            "bot": "BookTrip",
            "intent": "BookHotel",
            "text": "book a hotel in Chicago",
            "value": "Chicago",
            "source": "DialogCodeHook",
        },
        lex,
    ),
    Sample("connect", "Amazon Connect: a flow", {"caller": "+12065550100", "parameter": "value"}, connect),
    Sample(
        "iot-rule",
        "AWS IoT: a rule",
        {"topic": "devices/sensor-1", "device": "sensor-1", "temperature": "21"},
        iot_rule,
    ),
    Sample("iot-button", "AWS IoT: a button", {"device": "ABCDEFG12345", "click": "SINGLE"}, iot_button),
)
