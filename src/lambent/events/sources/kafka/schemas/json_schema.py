"""JSON Schema: JSON texts that must fit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.events.sources.kafka.schemas.contracts import RegisteredSchema


def json_reader(schema: RegisteredSchema) -> Callable[[bytes], object]:
    """Return what reads a text and checks it.

    Raises:
        ValueError: it is no schema.
    """
    import jsonschema
    from jsonschema.exceptions import SchemaError, ValidationError
    from jsonschema.validators import validator_for
    from referencing import Registry, Resource
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT7

    document = json.loads(schema.text)
    kind = validator_for(document, default=jsonschema.Draft7Validator)
    registry: Any = Registry()
    for name, text in schema.references.items():
        registry = registry.with_resource(name, Resource.from_contents(json.loads(text), DRAFT7))
    try:
        kind.check_schema(document)
    except SchemaError as error:
        raise ValueError(f"no JSON Schema: {error.message}") from error
    validator = kind(document, registry=registry)

    def read(body: bytes) -> object:
        value: object = json.loads(body)
        try:
            validator.validate(value)
        except (ValidationError, Unresolvable) as error:
            raise ValueError(f"it does not fit its JSON Schema: {getattr(error, 'message', error)}") from error
        return value

    return read
