"""GROUND. AWS's nouns as frozen types and pure rules.

Owns: nothing. Does: names, values, bounds, parsing of names. Never: I/O, JSON, HTTP, a clock, another room.
Every other room may import any module of this one.
"""
