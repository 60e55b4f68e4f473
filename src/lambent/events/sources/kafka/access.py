"""How a mapping's Kafka cluster is reached: servers, and librdkafka's settings for its kind of authentication."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.events.sources.source import SourceError
from lambent.model.configs.event_source import KafkaConfig, SourceKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.model.configs.event_source import EventSourceMapping

# Source: service description, SourceAccessType.
_MECHANISMS = {
    "BASIC_AUTH": "PLAIN",
    "SASL_SCRAM_256_AUTH": "SCRAM-SHA-256",
    "SASL_SCRAM_512_AUTH": "SCRAM-SHA-512",
}
_CLIENT_CERTIFICATE = "CLIENT_CERTIFICATE_TLS_AUTH"
_ROOT_CERTIFICATE = "SERVER_ROOT_CA_CERTIFICATE"
_ENDPOINTS = "KAFKA_BOOTSTRAP_SERVERS"


def kafka_config(mapping: EventSourceMapping) -> KafkaConfig:
    """Return consumer group and schemas, whichever kind of cluster it is."""
    managed = mapping.amazon_managed_kafka_event_source_config
    return managed or mapping.self_managed_kafka_event_source_config or KafkaConfig()


def servers_of(mapping: EventSourceMapping, brokers: Mapping[str, str]) -> str:
    """Return the cluster's servers, `host:port,…`; `brokers` are the setting's addresses by ARN, `host:port;…`.

    Raises:
        SourceError: nobody said where the cluster is.
    """
    if mapping.kind is SourceKind.SELF_MANAGED_KAFKA and mapping.self_managed_event_source is not None:
        return ",".join((mapping.self_managed_event_source.endpoints or {}).get(_ENDPOINTS, ()))
    address = brokers.get(mapping.event_source_arn or "")
    if address is None:
        raise SourceError(
            f"the setting event_sources.brokers has no address for {mapping.event_source_arn}", is_lasting=True
        )
    return address.replace(";", ",")


def access_settings(secrets: Mapping[str, Mapping[str, str]], *, is_plaintext: bool) -> dict[str, str]:
    """Return the settings for a mapping's secrets (see `read_secrets`).

    Passwords go over TLS only, unless `is_plaintext` (setting `event_sources.sasl_plaintext`).
    Source: developer guide, "Configuring authentication and authorization methods in Lambda" for Kafka.

    Raises:
        SourceError: a secret lacks what its kind needs.
    """
    settings: dict[str, str] = {}
    is_tls = _ROOT_CERTIFICATE in secrets or _CLIENT_CERTIFICATE in secrets
    mechanism = next((kind for kind in _MECHANISMS if kind in secrets), None)
    if _ROOT_CERTIFICATE in secrets:
        settings["ssl.ca.pem"] = _member(secrets, _ROOT_CERTIFICATE, "certificate")
    if _CLIENT_CERTIFICATE in secrets:
        settings["ssl.certificate.pem"] = _member(secrets, _CLIENT_CERTIFICATE, "certificate")
        settings["ssl.key.pem"] = _member(secrets, _CLIENT_CERTIFICATE, "privateKey")
        password = secrets[_CLIENT_CERTIFICATE].get("privateKeyPassword")
        if password:
            settings["ssl.key.password"] = password
    if mechanism is not None:
        settings["sasl.mechanism"] = _MECHANISMS[mechanism]
        settings["sasl.username"] = _member(secrets, mechanism, "username")
        settings["sasl.password"] = _member(secrets, mechanism, "password")
        is_tls = is_tls or not is_plaintext
    protocol = ("SASL_" if mechanism is not None else "") + ("SSL" if is_tls else "PLAINTEXT")
    return {**settings, "security.protocol": protocol}


def _member(secrets: Mapping[str, Mapping[str, str]], kind: str, name: str) -> str:
    value = secrets[kind].get(name)
    if not value:
        raise SourceError(f"the secret for {kind} has no {name}", is_lasting=True)
    return value
