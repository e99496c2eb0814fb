"""The same verdict, or a loud difference."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magi.audit.events import request_event
from magi.audit.redecide import CannotDecide, check_verdict, decide_again, differences
from magi.domain.clock import rfc3339
from magi.domain.errors import StrategyMissing
from magi.domain.messages import Vote
from magi.domain.strategies import Rule
from magi.domain.voting_request import Adjudicated, VotingRequest, fold
from tests.audit.histories import START, TIMEOUT, Book

STRATEGIES: list[str | dict[str, Any]] = [
    "minority_rule",
    "absolute_majority",
    "unanimous",
    {"name": "threshold", "k": 2},
    {"name": "veto", "holders": ["b"]},
    {"name": "weighted", "weights": {"a": 0.1, "b": 0.2, "c": 0.3}},
]


def before_and_verdict(book: Book, aggregate: str) -> tuple[VotingRequest, Adjudicated]:
    events = [request_event(message.data) for message in book.messages if message.subject.endswith(aggregate)]
    assert isinstance(events[-1], Adjudicated)
    return fold(events[:-1]), events[-1]


def decided(strategy: str | Mapping[str, Any], votes: Mapping[str, Vote], decide: str = "all") -> Book:
    book = Book()
    aggregate = book.receive("one", strategy=strategy, decide=decide)
    for voter, vote in votes.items():
        if not book.state(aggregate).verdict:
            book.vote(aggregate, voter, vote)
    book.expire(aggregate)
    return book


@given(
    st.sampled_from(STRATEGIES),
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(["pass", "fail", "abstain"])),
    st.sampled_from(["all", "early"]),
)
def test_every_verdict_follows_again(strategy: str | dict[str, Any], votes: dict[str, Vote], decide: str) -> None:
    book = decided(strategy, votes, decide)
    before, verdict = before_and_verdict(book, book.messages[0].subject)
    assert check_verdict(before, verdict) == []
    again = decide_again(before, verdict)
    assert again
    assert differences(verdict, again) == []


@pytest.fixture
def tied() -> tuple[VotingRequest, Adjudicated]:
    """Failed by a tie of three."""
    book = decided("minority_rule", {"a": "pass", "b": "fail", "c": "abstain"})
    return before_and_verdict(book, book.messages[0].subject)


@pytest.mark.parametrize(
    "change",
    [
        {"final_vote": "pass"},
        {"outcome_reason": "majority"},
        {"decided_by": "early"},
        {"details": {"a": "pass", "b": "pass", "c": "abstain"}},
        {"tally": {"pass": 2, "fail": 1, "abstain": 0, "missing": 0}},
        {"rule": Rule("unanimous")},
    ],
)
def test_a_verdict_that_says_something_else_is_different(
    tied: tuple[VotingRequest, Adjudicated], change: dict[str, Any]
) -> None:
    before, verdict = tied
    found = check_verdict(before, msgspec.structs.replace(verdict, **change))
    assert [problem.kind for problem in found] == ["verdict"]
    assert next(iter(change)) in found[0].message


def test_a_verdict_before_the_deadline_was_not_due() -> None:
    book = decided("minority_rule", {"a": "pass"})
    before, verdict = before_and_verdict(book, book.messages[0].subject)
    early = msgspec.structs.replace(verdict, at=rfc3339(START + TIMEOUT - 1))
    assert "no verdict was due by 'deadline'" in check_verdict(before, early)[0].message


@pytest.mark.parametrize("votes", [{}, {"a": "pass"}])
def test_a_verdict_by_votes_that_were_not_in_was_not_due(votes: dict[str, Vote]) -> None:
    book = decided("minority_rule", votes)
    before, verdict = before_and_verdict(book, book.messages[0].subject)
    for said in ("votes", "early"):
        claimed = msgspec.structs.replace(verdict, decided_by=said)
        assert "no verdict was due" in check_verdict(before, claimed)[0].message


def under(rule: Rule, tied: tuple[VotingRequest, Adjudicated]) -> tuple[VotingRequest, Adjudicated]:
    before, verdict = tied
    received = before.received
    assert received
    return msgspec.structs.replace(before, received=msgspec.structs.replace(received, rule=rule)), verdict


def test_a_strategy_that_is_not_installed_makes_no_verdict_wrong(tied: tuple[VotingRequest, Adjudicated]) -> None:
    before, verdict = under(Rule("gone"), tied)
    assert [problem.kind for problem in check_verdict(before, verdict)] == ["strategy_missing"]
    with pytest.raises(StrategyMissing):
        decide_again(before, verdict)


def test_a_rule_that_fits_no_panel_is_found_and_stops_nothing(tied: tuple[VotingRequest, Adjudicated]) -> None:
    before, verdict = under(Rule("weighted", {"quorum": 1, "weights": {}, "threshold": 0.5}), tied)
    with pytest.raises(CannotDecide, match="KeyError"):
        decide_again(before, verdict)
    [problem] = check_verdict(before, verdict)
    assert problem.kind == "verdict"
