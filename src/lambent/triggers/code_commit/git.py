"""Bare repositories on disk, and the program git on them.

A repository is `ACCOUNT/REGION/NAME.git`. It belongs to the daemon's account and its group, so that root may push over
the file path too. Its post-receive hook needs nothing but a shell: it keeps what git tells it in `lambent/pending`, and
writes a line into the pipe `wake` above all repositories, at which the daemon looks. A daemon that is not there finds
the file when it starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lambent.model.errors import LambdaError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.model.configs.repository import Repository

WAKE = "wake"
_PENDING = Path("lambent") / "pending"
_FIRST_BRANCH = "main"
_OUTPUT_BYTES_MAX = 67_108_864
_SECONDS_MAX = 120.0
# What git is told for every repository: packs as they come (no loose objects of other accounts), nothing in the
# background, and pushes over HTTP, whose right was checked before.
_CONFIGURATION = (
    ("receive.unpackLimit", "1"),
    ("gc.autoDetach", "false"),
    ("http.receivepack", "true"),
    ("receive.advertisePushOptions", "false"),
)
HOOK = """#!/bin/sh
# Tells Lambent what was pushed.
umask 007
name="$(date +%s%N)-$$"
{ printf 'pusher %s\\n' "${REMOTE_USER-}"; cat; } >"lambent/pending/$name.part" || exit 1
sync "lambent/pending/$name.part" 2>/dev/null
mv "lambent/pending/$name.part" "lambent/pending/$name.push" || exit 1
if [ -p ../../../wake ]; then
    { echo pushed 1<>../../../wake; } 2>/dev/null || :
fi
"""


class GitError(Exception):
    """git refused; the text is what it said."""


class Git:
    """Keeps repositories below `root` and runs git. Scope: process; keeps nothing in memory.

    The methods that are no coroutines block; they are called in threads.
    """

    def __init__(self, root: Path, search_path: str) -> None:
        self.root = root
        self._search_path = search_path or os.defpath
        self._program: str | None = None

    def directory(self, repository: Repository) -> Path:
        """Return where a repository lies."""
        return self.root / repository.account_id / repository.region / f"{repository.name}.git"

    def pending(self, repository: Repository) -> Path:
        """Return where its hook keeps what was pushed."""
        return self.directory(repository) / _PENDING

    def program(self) -> str:
        """Return the program git. Raises LambdaError (501) when there is none."""
        if self._program is None:
            self._program = shutil.which("git", path=self._search_path)
        if self._program is None:
            text = "CodeCommit needs the program git, which is not on this machine's search path."
            raise LambdaError(text, code="NotImplementedException")
        return self._program

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return what git runs with: nothing of this machine's or somebody's configuration."""
        return {
            "PATH": self._search_path,
            "HOME": str(self.root),
            "LANG": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_LITERAL_PATHSPECS": "1",
            # A directory that several daemons share may belong to another one's account.
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            **(more or {}),
        }

    async def run(self, repository: Repository, *words: str, given: bytes = b"") -> bytes:
        """Run git in a repository and return its output.

        Raises:
            GitError: it ended with another status than 0, or printed too much.
            LambdaError: there is no git here.
        """
        with tempfile.TemporaryFile() as stdin:
            stdin.write(given)
            stdin.seek(0)
            command = [self.program(), *words]
            process = await self.start(repository, command, stdin=stdin, stderr=asyncio.subprocess.PIPE)
        try:
            async with asyncio.timeout(_SECONDS_MAX):
                output, errors = await process.communicate()
        except TimeoutError as error:
            raise GitError("git took too long") from error
        finally:
            end(process)
        if process.returncode != 0 or len(output) > _OUTPUT_BYTES_MAX:
            raise GitError(errors.decode(errors="replace").strip()[:1_000] or f"status {process.returncode}")
        return output

    async def start(
        self,
        repository: Repository,
        command: list[str],
        *,
        stdin: IO[bytes],
        stderr: int = asyncio.subprocess.DEVNULL,
        more: Mapping[str, str] | None = None,
    ) -> asyncio.subprocess.Process:
        """Start a program in a repository, in a session of its own; whoever asks ends it with `end`."""
        await asyncio.to_thread(self.make, repository)
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=self.directory(repository),
            env=self.environment(more),
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )

    def make(self, repository: Repository) -> None:
        """Make a repository's directory unless it is there; a crash leaves the whole of it or none."""
        directory = self.directory(repository)
        if directory.exists():
            return
        self.make_root()
        directory.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=directory.parent))
        try:
            self._fill(scratch / "new.git")
            # Another request made it meanwhile.
            with contextlib.suppress(FileExistsError, OSError):
                (scratch / "new.git").rename(directory)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def make_root(self) -> None:
        """Make the directory of all repositories and the pipe by which hooks wake the daemon."""
        self.root.mkdir(mode=0o750, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkfifo(self.root / WAKE, 0o660)

    def move(self, repository: Repository, renamed: Repository) -> None:
        """Give a repository's directory the place of its new name."""
        with contextlib.suppress(FileNotFoundError):
            self.directory(repository).rename(self.directory(renamed))

    def remove(self, repository: Repository) -> None:
        """Remove a repository's directory."""
        directory = self.directory(repository)
        gone = directory.with_name(f".gone-{repository.repository_id}")
        with contextlib.suppress(FileNotFoundError):
            directory.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _fill(self, directory: Path) -> None:
        import subprocess

        program = self.program()
        commands = [["init", "-q", "--bare", "--shared=group", "--template=", f"-b{_FIRST_BRANCH}", str(directory)]]
        commands += [["--git-dir", str(directory), "config", name, value] for name, value in _CONFIGURATION]
        for words in commands:
            done = subprocess.run(
                [program, *words], env=self.environment(), capture_output=True, check=False, timeout=_SECONDS_MAX
            )
            if done.returncode != 0:
                raise LambdaError(f"git failed: {done.stderr.decode(errors='replace')[:500]}")
        (directory / _PENDING).mkdir(parents=True)
        # The group's, whoever pushes: see above.
        (directory / _PENDING).chmod(0o2770)
        (directory / "hooks").mkdir(exist_ok=True)
        hook = directory / "hooks" / "post-receive"
        hook.write_text(HOOK)
        hook.chmod(0o755)


def end(process: asyncio.subprocess.Process) -> None:
    """End a program and what it has started, if it still runs."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
