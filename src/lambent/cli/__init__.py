"""CLIENT. The command `lambent`: serve, doctor, keys, logs.

Owns: nothing. Does: read arguments, print, exit with 0 (done), 1 (refused or failed, with a sentence) or 2 (wrong
usage or setting). Never: a private way into a running server; `logs` speaks the same wire as everybody.
"""

from lambent.cli.commands import run_command

__all__ = ["run_command"]
