"""CPU share by memory. Source: the mission's table of six points, linear between them (decision 6)."""

from __future__ import annotations

from itertools import pairwise

# (memory in MiB, vCPUs)
_POINTS = ((0, 0.0), (128, 0.083), (512, 0.33), (1024, 0.58), (1769, 1.0), (3538, 2.0), (10240, 6.0))


def vcpus_for_memory(memory_mib: int) -> float:
    """Return the CPU share, in vCPUs, that a function with `memory_mib` (128 to 10,240) gets."""
    for (low_mib, low_vcpus), (high_mib, high_vcpus) in pairwise(_POINTS):
        if memory_mib <= high_mib:
            return low_vcpus + (high_vcpus - low_vcpus) * (memory_mib - low_mib) / (high_mib - low_mib)
    return _POINTS[-1][1]
