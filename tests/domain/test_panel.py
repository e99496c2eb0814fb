from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magi.domain.errors import InvalidMessage, NoVoters, Refused, UnknownVoter, VoterUnavailable
from magi.domain.ids import VoterId
from magi.domain.panel import Candidate, Snapshot, VoterStatus, choose_panel


def snapshot(voters: dict[str, Candidate], panel_size: int = 5, group: str = "default") -> Snapshot:
    return Snapshot({VoterId(name): candidate for name, candidate in voters.items()}, panel_size, group)


IDLE = Candidate("active")


# --- Named ------------------------------------------------------------------------------------------------------------


def test_a_named_panel_is_the_voters_named_in_that_order() -> None:
    assert choose_panel(["b", "a"], snapshot({"a": IDLE, "b": IDLE, "c": IDLE})) == ("b", "a")


def test_a_named_panel_may_be_of_any_group_load_and_size() -> None:
    voters = {"a": Candidate("active", "others", load=99), "b": IDLE}
    assert choose_panel(["a", "b"], snapshot(voters, panel_size=1)) == ("a", "b")


@pytest.mark.parametrize(
    ("named", "refusal", "message"),
    [
        (["a", "z"], UnknownVoter, "no voter named 'z' is registered"),
        (["a", "s"], VoterUnavailable, "voter 's' is suspended"),
        (["r"], VoterUnavailable, "voter 'r' is revoked"),
        (["a", "b", "a"], InvalidMessage, "voter_list: 'a' is named twice"),
        ([""], UnknownVoter, "no voter named '' is registered"),
    ],
)
def test_a_panel_with_a_voter_who_cannot_judge_is_refused(
    named: list[str], refusal: type[Refused], message: str
) -> None:
    voters = snapshot({"a": IDLE, "b": IDLE, "s": Candidate("suspended"), "r": Candidate("revoked")})
    with pytest.raises(refusal, match=message):
        choose_panel(named, voters)


def test_a_refused_name_is_repeated_only_in_part() -> None:
    with pytest.raises(UnknownVoter) as refused:
        choose_panel(["x" * 100_000], snapshot({}))
    assert len(refused.value.message) < 200


# --- Chosen -----------------------------------------------------------------------------------------------------------


def test_the_least_loaded_are_chosen_and_equals_by_name() -> None:
    voters = {"d": IDLE, "c": IDLE, "b": IDLE, "a": Candidate("active", load=1)}
    assert choose_panel([], snapshot(voters, panel_size=2)) == ("b", "c")
    assert choose_panel([], snapshot(voters, panel_size=4)) == ("a", "b", "c", "d")
    assert choose_panel([], snapshot(voters, panel_size=9)) == ("a", "b", "c", "d")


def test_only_active_voters_of_the_group_are_chosen() -> None:
    voters = {
        "a": Candidate("suspended"),
        "b": Candidate("revoked"),
        "c": Candidate("active", "others"),
        "d": IDLE,
    }
    assert choose_panel([], snapshot(voters)) == ("d",)
    assert choose_panel([], snapshot(voters, group="others")) == ("c",)


@pytest.mark.parametrize(
    "nobody",
    [
        snapshot({}),
        snapshot({"a": Candidate("suspended"), "b": Candidate("active", "others")}),
        snapshot({"a": IDLE}, panel_size=0),
        snapshot({"a": IDLE, "b": IDLE}, panel_size=-1),
    ],
)
def test_an_empty_panel_is_refused(nobody: Snapshot) -> None:
    """Nobody could ever end the waiting for it but the deadline."""
    with pytest.raises(NoVoters, match="no voter of the group 'default' is active"):
        choose_panel([], nobody)


STATUSES: tuple[VoterStatus, ...] = ("active", "active", "suspended", "revoked")
CANDIDATES = st.builds(
    Candidate,
    st.sampled_from(STATUSES),
    st.sampled_from(["default", "others"]),
    st.integers(0, 3),
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from("abcdefgh"), CANDIDATES), st.integers(1, 6), st.randoms(use_true_random=False))
def test_the_choice_is_the_best_there_is_whatever_the_order_of_the_directory(
    voters: dict[VoterId, Candidate], size: int, random: Random
) -> None:
    able = {name for name, c in voters.items() if (c.status, c.group) == ("active", "default")}
    if not able:
        return
    panel = choose_panel([], Snapshot(voters, size))
    left_out = able - set(panel)
    assert set(panel) <= able
    assert len(panel) == len(set(panel)) == min(size, len(able))
    assert all(voters[chosen].load <= voters[other].load for chosen in panel for other in left_out)
    shuffled = list(voters.items())
    random.shuffle(shuffled)
    assert choose_panel([], Snapshot(dict(shuffled), size)) == panel
