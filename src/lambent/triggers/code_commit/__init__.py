"""CodeCommit: bare git repositories whose pushes call functions.

Owns: repositories, their files below the data directory, pushes that are not delivered yet. Does: CodeCommit's API as
far as a trigger's user needs it, smart HTTP, the events of triggers. Never: reads what was pushed but to answer.
"""

from lambent.triggers.code_commit.assembly import CodeCommit
from lambent.triggers.code_commit.parts import CodeCommitParts

__all__ = ["CodeCommit", "CodeCommitParts"]
