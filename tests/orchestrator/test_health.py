"""What counts against a voter, and when it has to go."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magi.domain.clock import rfc3339
from magi.domain.ids import VoterId
from magi.domain.panel import Candidate, Snapshot
from magi.domain.strategies import Rule
from magi.domain.voter import Voter
from magi.domain.voting_request import Adjudicated, DecidedBy
from magi.orchestrator.health import AWAY, Given, Health, can_spare, missed, quorum, still_formed, too_few

START = 1_769_860_800_000
DEADLINE = START + 30_000


def voter(status: Any = "active", group: str = "default", since: int = START - 1) -> Voter:
    return Voter(version=1, status=status, group=group, since=rfc3339(since))


def voters(**statuses: Any) -> dict[VoterId, Voter]:
    return {VoterId(name): voter(status) for name, status in statuses.items()}


# --- In a row ---------------------------------------------------------------------------------------------------------


def test_so_many_failures_in_a_row_are_enough_and_the_reason_says_which() -> None:
    health = Health(3)
    for _ in range(2):
        health.timed_out("a", START)
    assert health.why_out("a") == ""
    health.failed("a", "unreadable")
    assert health.why_out("a") == "2 time-outs, 1 unreadable ballot in a row"
    assert health.why_out("b") == ""


def test_a_good_vote_between_them_starts_the_count_anew() -> None:
    health = Health(2)
    for _ in range(5):
        health.failed("a", "failed")
        health.answered("a", START)
    assert health.why_out("a") == ""


def test_tasks_of_one_burst_that_it_did_not_come_to_are_no_failures_of_one_that_worked_on_it() -> None:
    health = Health(3)
    health.answered("a", START + 9_000)
    for _ in range(60):
        health.timed_out("a", START)
    assert health.why_out("a") == ""
    for _ in range(3):
        health.timed_out("a", START + 9_001)
    assert health.why_out("a") == "3 time-outs in a row"


def test_one_that_is_back_is_out_again_at_its_first_failure_until_its_first_good_vote() -> None:
    health = Health(3)
    health.on_trial("a")
    assert health.why_out("a") == ""
    health.failed("a", "timeout")
    assert health.why_out("a") == "1 time-out after it came back"
    health.on_trial("a")
    health.answered("a", START)
    health.failed("a", "timeout")
    assert health.why_out("a") == ""


def test_what_was_before_its_status_changed_is_forgotten() -> None:
    health = Health(1)
    health.failed("a", "failed")
    health.forget("a")
    assert health.why_out("a") == ""


HAPPENINGS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["answered", "timed out", "failed", "again"]), st.integers(0, 50))
)


@given(HAPPENINGS, st.integers(1, 4))
def test_it_is_out_when_its_last_so_many_happenings_are_failures(happenings: list[Any], consecutive: int) -> None:
    """Against a model that keeps everything."""
    health = Health(consecutive)
    row = {"a": 0, "b": 0}
    last = {"a": -1, "b": -1}
    for who, what, at in happenings:
        if what in ("answered", "again"):
            for _ in range(1 + (what == "again")):
                health.answered(who, at)
            row[who], last[who] = 0, at
        elif what == "failed":
            health.failed(who, "failed")
            row[who] += 1
        else:
            health.timed_out(who, at)
            row[who] += at > last[who]
        assert {v for v in "ab" if health.why_out(v)} == {v for v in "ab" if row[v] >= consecutive}


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100), st.booleans()), max_size=60))
def test_a_voter_that_always_answers_stays_whatever_it_votes(tasks: list[tuple[int, int, bool]]) -> None:
    """Its votes are for nothing here: what the others vote, or the verdict, is not even told. A ballot that comes twice
    is an answer twice; one overtaken by its deadline is a time-out of one that answered meanwhile."""
    health = Health(1)
    for got, took, twice in tasks:
        health.answered("a", got + took)
        if twice:
            health.answered("a", got + took)
            health.timed_out("a", got)
        assert health.why_out("a") == ""


# --- Time-outs --------------------------------------------------------------------------------------------------------


def verdict(by: DecidedBy = "deadline", at: int = DEADLINE, **details: Any) -> Adjudicated:
    return Adjudicated(
        at=rfc3339(at),
        final_vote="fail",
        details=details or {"a": "pass", "b": "missing"},
        rule=Rule("minority_rule"),
        tally={},
        decided_by=by,
        outcome_reason="quorum",
    )


GIVEN = Given(frozenset("ab"), START, DEADLINE, connection=3)


def blamed(
    event: Adjudicated, given: Given = GIVEN, connection: int = 3, least: int = 2000, **known: Voter
) -> list[str]:
    directory = {**voters(a="active", b="active"), **{VoterId(name): v for name, v in known.items()}}
    return missed(event, given, directory, connection=connection, least_ms=least)


def test_who_had_a_task_and_let_the_deadline_pass_has_failed() -> None:
    assert blamed(verdict()) == ["b"]


@pytest.mark.parametrize("by", ["votes", "early"])
def test_a_verdict_before_the_deadline_counts_against_nobody(by: DecidedBy) -> None:
    assert blamed(verdict(by)) == []


def test_whom_no_task_was_given_from_here_has_not_failed() -> None:
    assert blamed(verdict(), Given(frozenset("a"), START, DEADLINE, 3)) == []


def test_nor_has_anybody_when_our_connection_broke_meanwhile_or_magi_came_too_late() -> None:
    assert blamed(verdict(), connection=4) == []
    assert blamed(verdict(at=DEADLINE + AWAY)) == ["b"]
    assert blamed(verdict(at=DEADLINE + AWAY + 1)) == []


def test_nor_one_that_had_too_little_time() -> None:
    assert blamed(verdict(), least=30_000) == ["b"]
    assert blamed(verdict(), least=30_001) == []


@pytest.mark.parametrize(
    "b", [voter("suspended"), voter("revoked"), voter("active", since=START + 1)], ids=["suspended", "revoked", "back"]
)
def test_nor_one_that_was_not_in_service_all_the_time(b: Voter) -> None:
    assert blamed(verdict(), b=b) == []


# --- Never too few ----------------------------------------------------------------------------------------------------


def test_the_quorum_is_that_of_the_panel_that_can_be_formed() -> None:
    assert [quorum(members, 5) for members in (1, 2, 3, 4, 5, 6, 48)] == [1, 2, 2, 3, 3, 3, 3]


@pytest.mark.parametrize(
    ("known", "spared"),
    [
        (voters(a="active"), False),
        (voters(a="active", b="active"), False),
        (voters(a="active", b="active", c="active"), True),
        (voters(a="active", b="active", c="suspended"), False),
        (voters(a="active", b="active", c="revoked", d="revoked"), False),
        (voters(a="active", b="active", c="active", d="active", e="suspended"), True),
        ({**voters(a="active", b="active"), VoterId("x"): voter(group="llm")}, False),
    ],
)
def test_a_voter_is_spared_only_if_its_group_has_a_quorum_without_it(known: dict[VoterId, Voter], spared: bool) -> None:
    assert can_spare("a", known, 5) == spared


def test_who_is_about_to_leave_is_not_counted_on() -> None:
    known = voters(a="active", b="active", c="active")
    assert can_spare("a", known, 5)
    assert not can_spare("a", known, 5, {"b"})


POPULATIONS = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.tuples(st.sampled_from(["active", "active", "suspended", "revoked"]), st.sampled_from(["default", "llm"])),
)


@settings(max_examples=200)
@given(POPULATIONS, st.integers(1, 6), st.lists(st.sampled_from("abcdefgh"), max_size=20), st.data())
def test_no_sequence_of_ejections_leaves_a_group_without_a_quorum(
    population: dict[str, Any], panel_size: int, sick: list[str], data: st.DataObject
) -> None:
    """Whatever of it our copy of the directory has seen already, and whatever is still on its way."""
    known = {VoterId(name): voter(status, group) for name, (status, group) in population.items()}
    groups = {v.group for v in known.values()}
    too_few_before = {group for group in groups if too_few(group, known, panel_size)}
    leaving: set[VoterId] = set()

    def as_it_will_be() -> dict[VoterId, Voter]:
        return {i: voter("suspended", v.group) if i in leaving else v for i, v in known.items()}

    for name in map(VoterId, sick):
        sickens = name in known and known[name].status == "active" and name not in leaving
        if sickens and can_spare(name, known, panel_size, leaving):
            leaving.add(name)
        if data.draw(st.booleans()):
            known = as_it_will_be()
            leaving.clear()
    assert {group for group in groups if too_few(group, as_it_will_be(), panel_size)} == too_few_before


def test_no_ejection_keeps_the_default_panel_from_being_formed() -> None:
    candidates = {VoterId(v): Candidate("active", group) for v, group in (("a", "x"), ("b", "y"), ("c", "z"))}
    template = Snapshot(candidates, templates={"code": ("a", "b")}, default="code")
    assert still_formed(template, {"c"})
    assert not still_formed(template, {"a"}), "one of two seats is no quorum"
    assert not still_formed(Snapshot({VoterId("a"): Candidate("active")}), {"a"})
