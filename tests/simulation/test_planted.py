"""The simulation finds what is planted: one that finds nothing wrong is worth as much as this."""

import pytest

from magi.domain.errors import Conflict
from tests.simulation.planted import PLANTS, behind, believe_any_copy, harsh
from tests.simulation.run import simulate

WITHIN = 40
"""Seeds."""


@pytest.mark.parametrize("name", PLANTS)
def test_finds_it(name: str) -> None:
    with PLANTS[name]():
        assert any(simulate(seed, prepare=harsh).problems for seed in range(WITHIN))


def test_finds_nothing_where_nothing_is_planted() -> None:
    assert not any(simulate(seed, prepare=harsh).problems for seed in range(12))


def test_finds_who_believes_a_copy_that_is_behind() -> None:
    """As it was told to an operator once, of an Initiator that he had just registered."""
    with believe_any_copy(), pytest.raises(Conflict, match="no initiator named"):
        _all(range(8))


def test_finds_nothing_where_the_leader_is_asked() -> None:
    assert not any(_all(range(4)))


def _all(seeds: range) -> list[list[str]]:
    return [simulate(seed, prepare=behind).problems for seed in seeds]
