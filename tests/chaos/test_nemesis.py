"""The schedule of a nemesis: the same for the same seed, everybody's turn comes, and all of it falls within the run."""

import itertools

import hypothesis.strategies as st
from hypothesis import given

from tests.chaos.nemesis import Blow, schedule

BLOWS: list[tuple[str, Blow]] = [("nats-server", "kill"), ("gateway", "cut"), ("orchestrator", "mute"), ("all", "kill")]
SEEDS = st.integers(0, 2**31)


@given(SEEDS)
def test_a_seed_says_all(seed: int) -> None:
    assert schedule(seed, 20.0, BLOWS, 2) == schedule(seed, 20.0, BLOWS, 2)


@given(SEEDS, st.integers(15, 60))
def test_each_has_its_turn_before_any_comes_again(seed: int, seconds: int) -> None:
    strikes = schedule(seed, seconds, BLOWS, 2)
    struck = [(strike.target, strike.blow) for strike in strikes]
    assert set(struck[:2]) == set(BLOWS[:2])
    assert len(struck) >= len(BLOWS)
    for turn in range(0, len(struck) - len(BLOWS) + 1, len(BLOWS)):
        assert set(struck[turn : turn + len(BLOWS)]) == set(BLOWS)


@given(SEEDS, st.integers(2, 60))
def test_one_comes_every_one_to_three_seconds(seed: int, seconds: int) -> None:
    at = [strike.at for strike in schedule(seed, seconds, BLOWS, 2)]
    assert all(0.8 <= after - before <= 3.2 for before, after in itertools.pairwise(at))
    assert all(0 < one <= seconds for one in at)
    assert at[-1] > seconds - 3.5


def test_seeds_differ() -> None:
    assert len({tuple(schedule(seed, 20.0, BLOWS, 2)) for seed in range(50)}) == 50
