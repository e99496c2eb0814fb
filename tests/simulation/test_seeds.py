"""MAGI keeps its promises under every fault that the seeds lead to, and comes to rest when the faults are over."""

import pytest

from tests.simulation.many import Tally
from tests.simulation.run import simulate

SEEDS = 200
CHUNK = 20
_all = Tally()


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_keeps_its_promises_whatever_happens(first: int) -> None:
    for seed in range(first, first + CHUNK):
        _all.add(simulate(seed))
    failed = {seed: problems for seed, problems in _all.failed.items() if seed >= first}
    assert not failed, f"`just simulate --seed {min(failed)}` shows it: {failed}"


def test_everything_that_the_seeds_are_for_did_happen() -> None:
    """After the tests above: or they have shown nothing."""
    if _all.seeds < SEEDS:
        pytest.skip("only with all seeds")
    assert not _all.never
