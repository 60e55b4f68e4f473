"""PLANE. Durable executions: nothing starts one yet, so there is none to find.

Owns: nothing yet. Does: answer its twelve operations truthfully. Never: answers HTTP, knows the control plane.
"""

from lambent.durable.executions import DurableExecutions

__all__ = ["DurableExecutions"]
