"""GROUND. AWS's protocols without a Lambda rule: shapes, routes, REST-JSON, constraints, signatures.

Owns: nothing. Every other room that speaks AWS's wire may import any module of this one. Never: state, another room.
"""
