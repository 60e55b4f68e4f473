"""Alexa: requests of skills, signed by Alexa or simulated, to functions.

Owns: the certificates that Alexa's requests named last. Does: holds a request against its signature, its time and the
function's resource policy, then calls the function. Never: believes a request that only says whose it is.
"""

from lambent.triggers.alexa.signatures import SignatureRules
from lambent.triggers.alexa.skills import SkillParts, SkillRequest, SkillRequests

__all__ = ["SignatureRules", "SkillParts", "SkillRequest", "SkillRequests"]
