"""Probes: whose ballots are told apart from those that count, and whose content nobody sees that was not chosen."""

from typing import Any

import pytest

from magi.domain.clock import rfc3339
from magi.domain.ids import AggregateId, VoterId
from magi.domain.messages import ProgressBallot, ResultBallot
from magi.domain.panel import Candidate, Snapshot
from magi.domain.voter import Voter
from magi.orchestrator.probes import GRACE, REMEMBER, Probe, Probes, may_probe, open_groups, untried
from tests.domain.requests import DEADLINE, START, received

ONE, OTHER = AggregateId("agent.1"), AggregateId("agent.2")
VOTE = ResultBallot(task_id="t", vote="fail")
FAILED = ResultBallot(task_id="t", vote="abstain", failed=True)


@pytest.fixture
def probes() -> Probes:
    probes = Probes()
    probes.begin(Probe(VoterId("c"), ONE, DEADLINE, 0))
    return probes


def test_a_vote_on_a_probe_is_good_whatever_it_is_and_ends_it(probes: Probes) -> None:
    assert probes.is_open("c")
    assert probes.hear(ONE, "c", ProgressBallot(task_id="t"), START) == "nothing"
    assert probes.hear(ONE, "c", VOTE, DEADLINE - 1) == "good"
    assert not probes.is_open("c")
    assert probes.overdue(DEADLINE + GRACE) == []


@pytest.mark.parametrize(("ballot", "arrived"), [(FAILED, START), (VOTE, DEADLINE)], ids=["could not judge", "late"])
def test_one_that_tells_of_a_failure_or_is_late_is_bad(probes: Probes, ballot: ResultBallot, arrived: int) -> None:
    assert probes.hear(ONE, "c", ballot, arrived) == "bad"


def test_a_ballot_that_comes_again_says_nothing_new(probes: Probes) -> None:
    probes.hear(ONE, "c", VOTE, START)
    assert probes.hear(ONE, "c", VOTE, START) == "nothing"
    probes.overdue(DEADLINE + REMEMBER - 1)
    assert probes.hear(ONE, "c", VOTE, START) == "nothing"
    probes.overdue(DEADLINE + REMEMBER)
    assert probes.hear(ONE, "c", VOTE, START) == "stranger"


def test_other_ballots_are_not_touched(probes: Probes) -> None:
    assert probes.hear(OTHER, "c", VOTE, START) == "stranger"
    assert probes.hear(ONE, "a", VOTE, START) == "stranger"
    probes.never_was(Probe(VoterId("c"), ONE, DEADLINE, 0))
    assert probes.hear(ONE, "c", VOTE, START) == "stranger"


def test_a_probe_is_overdue_once_and_a_little_after_its_end(probes: Probes) -> None:
    assert probes.overdue(DEADLINE + GRACE - 1) == []
    assert [probe.aggregate for probe in probes.overdue(DEADLINE + GRACE)] == [ONE]
    assert probes.overdue(DEADLINE + GRACE) == []
    assert not probes.is_open("c")


OUT = Voter(version=2, status="suspended", since=rfc3339(START - 30_000), until=rfc3339(START))


def fit(name: str = "c", now: int = START, groups: Any = ("default",), least: int = 0) -> bool:
    return may_probe(name, OUT, received(), groups, now, least)


def test_a_voter_is_tried_with_a_request_of_its_group_that_is_not_its_own() -> None:
    assert fit()
    assert not fit(now=START - 1), "its time is not over"
    assert not fit(name="a"), "it is on the panel"
    assert not fit(groups=("llm",)), "it could not have been chosen"
    assert fit(least=30_000)
    assert not fit(least=30_001), "there is too little time"


def test_the_open_groups_are_those_of_panels_that_nobody_named() -> None:
    voters = {VoterId("a"): Candidate("active", "experts"), VoterId("b"): Candidate("active", "others")}
    assert open_groups(Snapshot(voters, group="house")) == {"house"}
    template = Snapshot(voters, templates={"code": ("a", "2 of llm", "nobody")}, default="code")
    assert open_groups(template) == {"experts", "llm"}


def test_one_that_nothing_tries_comes_back_all_the_same_after_a_while() -> None:
    assert not untried(OUT, ("llm",), START - 1, 1000)
    assert untried(OUT, ("llm",), START, 1000)
    assert not untried(OUT, ("default",), START + 999, 1000)
    assert untried(OUT, ("default",), START + 1000, 1000)
