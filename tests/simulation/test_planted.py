"""The simulation finds what is planted: one that finds nothing wrong is worth as much as this."""

import pytest

from tests.simulation.planted import PLANTS, harsh
from tests.simulation.run import simulate

WITHIN = 40
"""Seeds."""


@pytest.mark.parametrize("name", PLANTS)
def test_finds_it(name: str) -> None:
    with PLANTS[name]():
        assert any(simulate(seed, prepare=harsh).problems for seed in range(WITHIN))


def test_finds_nothing_where_nothing_is_planted() -> None:
    assert not any(simulate(seed, prepare=harsh).problems for seed in range(12))
