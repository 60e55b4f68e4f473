"""The transform AWS::Serverless-2016-10-31, by AWS's own translator; here, because whoever makes stacks needs it.

It runs in the embedded services and not in the daemon: a template is expanded between two steps of an operation of
CloudFormation, with its parameters, and the translator brings pydantic, boto3 and jsonschema, which the daemon would
have to load for nothing else. It is imported with the first template that asks for it.
"""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Template = dict[str, Any]

NAME = "AWS::Serverless-2016-10-31"
_FAILED = f"Transform {NAME} failed with: "
_APPLICATION = "AWS::Serverless::Application"


class TransformError(Exception):
    """A template that the transform does not take; the text is AWS's."""


class Expansion:
    """Applies what a template declares, in place of MiniStack's. Scope: process; keeps nothing.

    `engine` is MiniStack's module of templates, `find_region` answers the region of who asks.
    """

    def __init__(self, engine: Any, find_region: Callable[[], str]) -> None:
        self._engine = engine
        self._find_region = find_region
        self._apply_others = engine._apply_transforms

    def apply(self, template: Template, given: Any = None, previous: Any = None) -> Template:
        """Return the template that stacks are made of.

        One that cannot be expanded comes back as MiniStack's failed one, which its checks refuse with the reason.
        """
        engine = self._engine
        expanded: Template
        if NAME not in engine.declared_transforms(template):
            expanded = self._apply_others(template, given, previous)
            return expanded
        # Includes and language extensions come first, wherever the list has them.
        expanded = self._apply_others(engine._without_transform(template, NAME), given, previous)
        if hasattr(expanded, "error"):
            return expanded
        values = engine._transform_parameters(expanded, given, previous)
        try:
            return translated(expanded, values, self._find_region())
        except TransformError as error:
            failed: Template = engine._TransformFailed(template, str(error))
            return failed


def translated(template: Template, values: dict[str, Any], region: str) -> Template:
    """Return a SAM template as CloudFormation's. `values`: parameters by their names.

    Raises TransformError with AWS's text. Source: the words in which CloudFormation gives a macro's failure, and the
    order in which the translator's own command joins its causes.
    """
    from samtranslator.internal.managed_policies import get_bundled_managed_policy_map
    from samtranslator.model.exceptions import ExceptionWithMessage, InvalidDocumentException
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.arn_generator import ArnGenerator
    from samtranslator.translator.translator import Translator
    from samtranslator.utils.py27hash_fix import to_py27_compatible_template, undo_mark_unicode_str_in_template

    given = copy.deepcopy(template)
    parameters = dict(values)
    try:
        _refuse_repository(given)
        # Logical ids of what it adds follow from texts as Python 2.7 wrote them; AWS's have to come out.
        to_py27_compatible_template(given, parameters)
        # It asks a session for the region and for nothing else.
        translator = Translator(None, Parser(), boto_session=SimpleNamespace(region_name=region))
        translation = translator.translate(
            given,
            parameter_values=parameters,
            passthrough_metadata=True,
            get_managed_policy_map=lambda: get_bundled_managed_policy_map(ArnGenerator.get_partition_name()) or {},
        )
        expanded: Template = undo_mark_unicode_str_in_template(translation)
    except InvalidDocumentException as error:
        raise TransformError(_FAILED + " ".join([error.message, *(cause.message for cause in error.causes)])) from error
    except ExceptionWithMessage as error:
        raise TransformError(_FAILED + error.message) from error
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        # The translator trusts the form of what few people write wrongly.
        raise TransformError(f"{_FAILED}Internal transform failure.") from error
    return expanded


def _refuse_repository(template: Template) -> None:
    """Refuse applications of the Serverless Application Repository: the translator would ask AWS for them."""
    from samtranslator.model.exceptions import InvalidDocumentException, InvalidResourceException

    resources = template.get("Resources")
    wrong = [
        InvalidResourceException(
            name,
            "The Serverless Application Repository is not reachable from here; 'Location' must be the URL of a "
            "template.",
        )
        for name, one in (resources.items() if isinstance(resources, dict) else ())
        if isinstance(one, dict)
        and one.get("Type") == _APPLICATION
        and isinstance(one.get("Properties"), dict)
        and isinstance(one["Properties"].get("Location"), dict)
    ]
    if wrong:
        raise InvalidDocumentException(wrong)
