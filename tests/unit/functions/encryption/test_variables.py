"""Variables under a key: which of text and ciphertext is kept, and when a key service is asked."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from lambent.functions.encryption.variables import Variables
from lambent.model.errors import InvalidParameterValueError
from lambent.model.function import CodeReference, FunctionVersion

if TYPE_CHECKING:
    from collections.abc import Mapping

FUNCTION = FunctionVersion(
    account_id="0" * 12,
    region="us-east-1",
    name="f",
    role="r",
    code=CodeReference("c", 1, 1),
    configuration_id="c",
    revision_id="r",
    last_modified_ms=0,
)
KEYED = replace(FUNCTION, kms_key_arn="k1", environment={"A": "1"})


class Keys:
    """Keys that only turn text into base64; `closed` do not open."""

    def __init__(self) -> None:
        self.closed: set[str | None] = set()
        self.asked: list[str] = []

    async def encrypt(self, version: FunctionVersion) -> str:
        self.asked.append(f"encrypt {version.kms_key_arn}")
        text = json.dumps([version.kms_key_arn, dict(version.environment)])
        return base64.b64encode(text.encode()).decode()

    async def shown(self, version: FunctionVersion) -> tuple[Mapping[str, str], tuple[str, str] | None]:
        self.asked.append(f"decrypt {version.kms_key_arn}")
        assert version.environment_cipher is not None
        key, variables = json.loads(base64.b64decode(version.environment_cipher))
        assert key == version.kms_key_arn
        return ({}, ("DisabledException", "closed")) if key in self.closed else (variables, None)


def stored(version: FunctionVersion) -> FunctionVersion:
    """Return what the store gives back."""
    return replace(version, environment={}) if version.environment_cipher is not None else version


async def test_without_a_key_nobody_is_asked() -> None:
    keys = Keys()
    variables = Variables(keys)
    plain = replace(FUNCTION, environment={"A": "1"})
    assert await variables.sealed(plain, None, is_given=True) == plain
    assert await variables.shown(plain) == plain
    assert await variables.all_shown([plain, plain]) == [plain, plain]
    no_variables = replace(FUNCTION, kms_key_arn="k1")
    assert await variables.sealed(no_variables, None, is_given=True) == no_variables
    assert keys.asked == []


async def test_a_key_seals_and_the_answer_shows() -> None:
    keys = Keys()
    variables = Variables(keys)
    sealed = await variables.sealed(KEYED, None, is_given=True)
    assert sealed.environment == {"A": "1"}, "for the answer"
    assert sealed.environment_cipher is not None
    kept = stored(sealed)
    assert (await variables.shown(kept)).environment == {"A": "1"}
    assert [one.environment for one in await variables.all_shown([kept, FUNCTION])] == [{"A": "1"}, {}]
    keys.closed.add("k1")
    shown = await variables.shown(kept)
    assert (shown.environment, shown.environment_error) == ({}, ("DisabledException", "closed"))


async def test_other_changes_ask_nobody() -> None:
    keys = Keys()
    variables = Variables(keys)
    kept = stored(await variables.sealed(KEYED, None, is_given=True))
    keys.closed.add("k1")
    changed = await variables.sealed(replace(kept, description="d"), kept, is_given=False)
    assert changed == replace(kept, description="d")
    assert keys.asked == ["encrypt k1"]


async def test_a_new_key_opens_with_the_old_one() -> None:
    keys = Keys()
    variables = Variables(keys)
    kept = stored(await variables.sealed(KEYED, None, is_given=True))
    moved = await variables.sealed(replace(kept, kms_key_arn="k2"), kept, is_given=False)
    assert (await variables.shown(stored(moved))).environment == {"A": "1"}
    freed = await variables.sealed(replace(kept, kms_key_arn=None), kept, is_given=False)
    assert (freed.environment, freed.environment_cipher) == ({"A": "1"}, None)
    keys.closed.add("k1")
    with pytest.raises(InvalidParameterValueError, match="closed"):
        await variables.sealed(replace(kept, kms_key_arn="k2"), kept, is_given=False)
    given = replace(kept, kms_key_arn="k2", environment={"A": "2"})
    assert (await variables.sealed(given, kept, is_given=True)).environment == {"A": "2"}, "no need of the old ones"


async def test_a_key_for_variables_that_had_none() -> None:
    variables = Variables(Keys())
    plain = replace(FUNCTION, environment={"A": "1"})
    sealed = await variables.sealed(replace(plain, kms_key_arn="k1"), plain, is_given=False)
    assert sealed.environment_cipher is not None
    emptied = await variables.sealed(replace(stored(sealed), environment={}), stored(sealed), is_given=True)
    assert emptied.environment_cipher is None
