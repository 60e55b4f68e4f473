"""Measures what docs/benchmarks.md lists: starts servers, sends load, reads CPU and memory from /proc, prints tables.

Owns its servers (started and stopped here, by process id) and its work folder. Never touches a running installation,
and reaches nothing but loopback.
"""
