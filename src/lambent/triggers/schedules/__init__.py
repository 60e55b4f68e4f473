"""Schedules: EventBridge Scheduler whole, and the timer of EventBridge's scheduled rules.

Owns: schedules, their groups, what is known of scheduled rules, firings that are under way. Does: fire on time, once,
after a stop as AWS would. Never: keeps rules in EventBridge's place, calls a function past the queue of events.
"""

from lambent.triggers.schedules.assembly import SchedulePlane
from lambent.triggers.schedules.parts import ScheduleParts, TargetParts

__all__ = ["ScheduleParts", "SchedulePlane", "TargetParts"]
