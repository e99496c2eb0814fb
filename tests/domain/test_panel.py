from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magi.domain.errors import InvalidMessage, NoVoters, Refused, UnknownVoter, VoterUnavailable
from magi.domain.ids import VoterId
from magi.domain.panel import Candidate, Snapshot, VoterStatus, choose_panel, weights
from magi.domain.slots import NamedVoter, parse_slots


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


def test_weights_are_those_of_the_panel() -> None:
    voters = snapshot({"a": Candidate("active", weight=2.5), "b": IDLE, "c": Candidate("active", weight=9)})
    assert weights(choose_panel(["b", "a"], voters), voters) == {"b": 1.0, "a": 2.5}


# --- Of a template ----------------------------------------------------------------------------------------------------

VOTERS = {
    "melchior": IDLE,
    "balthasar": IDLE,
    "casper": IDLE,
    "gpt": Candidate("active", "llm", load=2),
    "claude": Candidate("active", "llm", load=1),
    "loner": Candidate("suspended", "alone"),
}


def of_template(members: str, default: str = "", **out: VoterStatus) -> Snapshot:
    """VOTERS, those in `out` with another status, and one template `code`."""
    voters = {name: msgspec.structs.replace(c, status=out.get(name, c.status)) for name, c in VOTERS.items()}
    templates = {"code": tuple(part.strip() for part in members.split(","))}
    return Snapshot({VoterId(n): c for n, c in voters.items()}, templates=templates, default=default)


def test_a_template_gives_its_voters_and_the_least_loaded_of_a_group_in_its_order() -> None:
    assert choose_panel([], of_template("melchior, 1 of llm, balthasar"), "code") == (
        "melchior",
        "claude",
        "balthasar",
    )


def test_a_group_gives_nobody_who_has_a_seat_of_his_own() -> None:
    assert choose_panel([], of_template("1 of llm, claude"), "code") == ("gpt", "claude")


def test_for_a_voter_that_is_out_another_of_its_group_stands_in_in_its_place() -> None:
    assert choose_panel([], of_template("melchior, gpt", gpt="suspended"), "code") == ("melchior", "claude")
    out = of_template("balthasar, gpt, casper", balthasar="revoked")
    assert choose_panel([], out, "code") == ("melchior", "gpt", "casper")


def test_a_seat_for_which_there_is_nobody_stays_empty_while_more_than_half_are_taken() -> None:
    assert choose_panel([], of_template("melchior, loner, casper"), "code") == ("melchior", "casper")
    assert choose_panel([], of_template("melchior, nobody, casper"), "code") == ("melchior", "casper")
    assert choose_panel([], of_template("3 of llm"), "code") == ("claude", "gpt")


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ("melchior, loner", "1 of 2 voters are there, and 2 are needed: loner is suspended"),
        ("melchior, nobody", "nobody is not registered"),
        ("4 of llm", "2 of 4 voters are there, and 3 are needed: 4 of llm has 2"),
    ],
)
def test_with_half_of_the_voters_or_fewer_there_is_no_panel_and_it_is_said_whom_it_lacks(
    members: str, complaint: str
) -> None:
    with pytest.raises(NoVoters, match=complaint):
        choose_panel([], of_template(members), "code")


def test_the_default_template_is_for_requests_that_ask_for_nothing() -> None:
    voters = of_template("gpt, claude", default="code")
    assert choose_panel([], voters) == ("gpt", "claude")
    assert choose_panel(["casper"], voters) == ("casper",)


def test_a_default_template_that_is_not_there_is_not_replaced_by_whoever_there_is() -> None:
    with pytest.raises(NoVoters, match="the default panel 'gone' is not defined"):
        choose_panel([], of_template("gpt", default="gone"))


def test_an_unknown_template_and_two_ways_of_asking_at_once_are_refused() -> None:
    with pytest.raises(InvalidMessage, match="panel: no panel is named 'prose'; there are code"):
        choose_panel([], of_template("gpt"), "prose")
    with pytest.raises(InvalidMessage, match="panel: expected either panel or voter_list"):
        choose_panel(["gpt"], of_template("gpt"), "code")


NAMES = st.sampled_from("abcdefgh")
MEMBERS = st.lists(
    NAMES | st.tuples(st.integers(1, 4), st.sampled_from(["default", "others"])).map(lambda of: f"{of[0]} of {of[1]}"),
    min_size=1,
    max_size=5,
    unique_by=lambda member: member.split()[-1],
).map(tuple)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, CANDIDATES), MEMBERS, st.randoms(use_true_random=False))
def test_a_templates_panel_has_active_voters_only_none_twice_and_is_the_same_whatever_the_order_of_the_directory(
    voters: dict[VoterId, Candidate], members: tuple[str, ...], random: Random
) -> None:
    seats = sum(slot.seats for slot in parse_slots(members))
    able = {name for name, candidate in voters.items() if candidate.status == "active"}
    try:
        panel = choose_panel([], Snapshot(voters, templates={"t": members}), "t")
    except NoVoters:
        # Whoever is named and active has a seat, so too few of those are there.
        assert len(able & set(members)) <= seats // 2
        return
    assert set(panel) <= able
    assert len(panel) == len(set(panel))
    assert seats // 2 < len(panel) <= seats
    assert able & {slot.voter for slot in parse_slots(members) if isinstance(slot, NamedVoter)} <= set(panel)
    shuffled = list(voters.items())
    random.shuffle(shuffled)
    assert choose_panel([], Snapshot(dict(shuffled), templates={"t": members}), "t") == panel
