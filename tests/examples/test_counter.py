"""examples/counter: what an environment keeps."""

from __future__ import annotations

from typing import Any

import pytest

from tests.examples.deployment import EXAMPLES, deploy, invoke, reconfigure


@pytest.mark.slow
def test_an_environment_is_used_again_until_its_configuration_changes(lambda_client: Any) -> None:
    """Memory and /tmp stay from call to call and end with the environment."""
    deploy(lambda_client, "example-counter", EXAMPLES / "counter", Handler="counter.handler")
    counts = [invoke(lambda_client, "example-counter", {}).payload for _ in range(3)]
    assert [(each["count"], each["in_file"]) for each in counts] == [(1, 1), (2, 2), (3, 3)]
    assert len({each["environment"] for each in counts}) == 1
    reconfigure(lambda_client, "example-counter", Description="changed")
    anew = invoke(lambda_client, "example-counter", {}).payload
    assert (anew["count"], anew["in_file"]) == (1, 1)
    assert anew["environment"] != counts[0]["environment"]
