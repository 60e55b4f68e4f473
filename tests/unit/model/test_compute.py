"""CPU share: the six points exactly, monotone between them."""

from __future__ import annotations

import pytest

from lambent.model.compute import vcpus_for_memory


@pytest.mark.parametrize(
    ("memory_mib", "vcpus"), [(128, 0.083), (512, 0.33), (1024, 0.58), (1769, 1.0), (3538, 2.0), (10240, 6.0)]
)
def test_points(memory_mib: int, vcpus: float) -> None:
    assert vcpus_for_memory(memory_mib) == pytest.approx(vcpus)


def test_more_memory_is_never_less_cpu() -> None:
    shares = [vcpus_for_memory(memory_mib) for memory_mib in range(128, 10_241, 16)]
    assert shares == sorted(shares)
