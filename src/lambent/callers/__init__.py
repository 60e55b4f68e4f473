"""ASSEMBLY. Callers that are no schedules and no embedded services: CodeCommit's repositories, and Alexa.

Owns: nothing. Does: builds both from settings, and their routes below /_lambent/. Never: loads what nobody asked for.
"""

from lambent.callers.assembly import CallerParts, Callers

__all__ = ["CallerParts", "Callers"]
