"""A measured row, its target and floor, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `value` is None when it was not measured, and `note` says why.

    `detail` is what else was seen in the same run. The unit is part of `unit`; `is_high_good` for throughput.
    """

    key: str
    what: str
    value: float | None
    unit: str
    target: float | None = None
    floor: float | None = None
    is_high_good: bool = False
    note: str = ""
    detail: dict[str, object] = field(default_factory=dict)

    def verdict(self) -> str:
        """Say whether the target, or only the floor, is met."""
        if self.value is None:
            return "not measured"
        if self.target is None:
            return ""
        if self._reaches(self.target):
            return "target met"
        if self.floor is None:
            return "target missed"
        return "floor held" if self._reaches(self.floor) else "below the floor"

    def _reaches(self, bound: float) -> bool:
        assert self.value is not None
        return self.value >= bound if self.is_high_good else self.value <= bound


def missing(key: str, what: str, unit: str, why: str) -> Row:
    """Return a row that was not measured."""
    return Row(key, what, None, unit, note=why)
