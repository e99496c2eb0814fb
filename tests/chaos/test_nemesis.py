"""The schedule of a nemesis: the same for the same seed, everybody's turn comes, and all of it falls within the run."""

import hypothesis.strategies as st
from hypothesis import given

from tests.chaos.nemesis import schedule

TARGETS = ("nats-server", "gateway", "orchestrator-1", "orchestrator-2")
SEEDS = st.integers(0, 2**31)


@given(SEEDS)
def test_a_seed_says_all(seed: int) -> None:
    assert schedule(seed, 10.0, TARGETS, 12) == schedule(seed, 10.0, TARGETS, 12)


@given(SEEDS, st.integers(4, 40))
def test_each_target_is_killed_and_as_often_as_asked(seed: int, kills: int) -> None:
    strikes = schedule(seed, 10.0, TARGETS, kills)
    assert [strike.blow for strike in strikes].count("kill") == kills
    assert {strike.target for strike in strikes if strike.blow == "kill"} == set(TARGETS)
    assert [strike.at for strike in strikes] == sorted(strike.at for strike in strikes)
    assert all(0 < strike.at <= 10.0 for strike in strikes)


def test_seeds_differ() -> None:
    assert len({tuple(schedule(seed, 10.0, TARGETS, 12)) for seed in range(50)}) == 50
