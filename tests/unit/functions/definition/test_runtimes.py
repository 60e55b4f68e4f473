"""Every identifier of the service description has its place."""

from __future__ import annotations

import pytest
from botocore.loaders import Loader

from lambent.functions.definition.runtimes import DEPRECATED, GONE, NEWER, SNAP_START, SUPPORTED, check_runtime
from lambent.model.errors import InvalidParameterValueError

DESCRIBED = Loader().load_service_model("lambda", "service-2")["shapes"]["Runtime"]["enum"]


def test_the_three_lists_are_the_description() -> None:
    lists = (*SUPPORTED, *DEPRECATED, *NEWER)
    assert len(lists) == len(set(lists))
    assert set(lists) == set(DESCRIBED)
    assert set(SUPPORTED) >= SNAP_START


@pytest.mark.parametrize("runtime", sorted(set(DESCRIBED) - GONE))
def test_all_are_taken_by_default(runtime: str) -> None:
    check_runtime(runtime, refuse_deprecated=False)


@pytest.mark.parametrize("runtime", ["", "python", "PYTHON3.9", "python3.12 "])
def test_others_are_not(runtime: str) -> None:
    # Source: lambda/test_lambda_api.json, test_update_lambda_exceptions.
    with pytest.raises(
        InvalidParameterValueError, match=rf"^Value {runtime} at 'runtime' failed .* or be a valid ARN$"
    ):
        check_runtime(runtime, refuse_deprecated=False)
