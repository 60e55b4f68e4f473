"""`lambent keys create | list | revoke`: files of the data directory, with or without a running server."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lambent.cli.failure import CommandError
from lambent.clock import SystemClock
from lambent.settings import read_settings
from lambent.store import AccessKeys, InstallationKey

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from lambent.settings import Settings


def run_keys(parsed: argparse.Namespace, flags: Mapping[str, str]) -> int:
    """Do the action and print its answer as JSON.

    Raises:
        SettingError: a setting is unknown or wrong.
        CommandError: no such key, a wrong account, or the directory cannot be written.
    """
    settings = read_settings(flags, config=parsed.config)
    try:
        keys = _open_keys(settings)
        if parsed.action == "create":
            credentials = keys.create(parsed.account or settings.account.default_id)
            answer: object = {
                "AccessKeyId": credentials.access_key_id,
                "SecretAccessKey": credentials.secret_access_key,
                "AccountId": credentials.account_id,
            }
        elif parsed.action == "list":
            answer = [
                {
                    "AccessKeyId": entry.access_key_id,
                    "AccountId": entry.account_id,
                    "CreateDate": datetime.fromtimestamp(entry.created_ms / 1000, UTC).isoformat(timespec="seconds"),
                }
                for entry in keys.entries()
            ]
        elif keys.revoke(parsed.access_key_id):
            answer = {"Revoked": parsed.access_key_id}
        else:
            raise CommandError(f"there is no access key {parsed.access_key_id} in {settings.data_dir}.")
    except (OSError, ValueError) as error:
        raise CommandError(f"{error}.") from error
    print(json.dumps(answer, indent=1))
    return 0


def _open_keys(settings: Settings) -> AccessKeys:
    """Open the keys as the account that owns them, so that a daemon which gave up root can read what is written."""
    directory = Path(settings.data_dir)
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    # From here on by relative names: the account may not be allowed to walk down to the directory.
    os.chdir(directory)
    if os.geteuid() == 0:
        owner = directory.stat().st_uid or settings.sandbox.daemon_uid
        Path("keys").mkdir(mode=0o700, exist_ok=True)
        os.chown("keys", owner, owner)
        os.chown(".", owner, owner)
        os.setgroups([])
        os.setresgid(owner, owner, owner)
        os.setresuid(owner, owner, owner)
    return AccessKeys("keys", InstallationKey.open("keys"), SystemClock())
