"""Where functions find the AWS SDK that they do not ship, and when it may be loaded before them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Top-level modules that the boto3 zygote has loaded beside the standard library.
SDK_NAMES = frozenset({"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3"})


class SdkDirectories(Struct, frozen=True):
    """Installed SDKs. `python` maps the oldest Python version a directory's boto3 supports to the directory.

    `nodejs` maps the SDK's major version (2 or 3) to a directory with `node_modules`. All are shown at /var/sdk.
    """

    python: Mapping[tuple[int, int], str] = field(default_factory=dict)
    nodejs: Mapping[int, str] = field(default_factory=dict)

    def python_for(self, version: tuple[int, ...]) -> str | None:
        """Return the directory for an interpreter: the newest SDK that supports it."""
        fitting = [lowest for lowest in self.python if lowest <= version[:2]]
        return self.python[max(fitting)] if fitting else None

    def nodejs_for(self, version: tuple[int, ...]) -> str | None:
        """Return the directory for an identifier: v2 up to nodejs16.x, v3 from nodejs18.x on, as on AWS."""
        return self.nodejs.get(2 if version < (18,) else 3)

    def is_preload_safe(self, top_level_names: frozenset[str]) -> bool:
        """Whether a process with boto3 loaded may serve a function with these top-level names in package and layers.

        Names are those of files and directories as they lie in the package: `six.py`, `boto3`, `index.py`.
        """
        names = {name.split(".", 1)[0] for name in top_level_names}
        return not names & (SDK_NAMES | sys.stdlib_module_names)

    @classmethod
    def below(cls, root: Path) -> SdkDirectories:
        """Return the SDKs that `sdk_install` has put below `root`."""
        python: dict[tuple[int, int], str] = {}
        nodejs: dict[int, str] = {}
        for path in sorted(root.glob("python-*")):
            major, _, minor = path.name.removeprefix("python-").partition(".")
            if major.isdigit() and minor.isdigit() and (path / "boto3").is_dir():
                python[int(major), int(minor)] = str(path)
        for path in sorted(root.glob("nodejs-v*")):
            number = path.name.removeprefix("nodejs-v")
            if number.isdigit() and (path / "node_modules").is_dir():
                nodejs[int(number)] = str(path)
        return cls(python, nodejs)
