"""The small privileged program: guard, supervisor, zygotes, and what they put into a sandbox.

Owns: root. Does: what a closed set of messages asks. Never: imports another room, trusts the daemon, reads a
function's data. Standard library only; what runs inside a sandbox works on Python 3.8 and newer. It runs as package
`launcher` without the rest of Lambent, so its modules import each other relatively (`from . import syscalls`).
"""
