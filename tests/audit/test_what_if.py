"""Other rules over the same votes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magi.audit.what_if import Alternative, CannotApply, votes_needed, what_if
from magi.domain.errors import UnknownStrategy
from magi.domain.messages import Vote
from magi.domain.strategies import Rule, choose
from magi.domain.voting_request import VotingRequest, Withdraw
from tests.audit.histories import PANEL, START, Book


def decided(decide: str = "all", strategy: str = "minority_rule", **votes: Vote) -> VotingRequest:
    book = Book()
    aggregate = book.receive("one", decide=decide, strategy=strategy)
    for voter, vote in votes.items():
        if not book.state(aggregate).verdict:
            book.vote(aggregate, voter, vote)
    book.expire(aggregate)
    return book.state(aggregate)


def under(strategy: str | dict[str, Any], request: VotingRequest):  # type: ignore[no-untyped-def]
    return what_if(request, Alternative(strategy).rule(request.panel))


def test_a_veto_fails_what_a_majority_passed() -> None:
    request = decided(a="pass", b="fail", c="pass")
    assert request.verdict
    assert request.verdict.final_vote == "pass"
    other = under("veto", request)
    assert (other.final_vote, other.reason, other.needed) == ("fail", "veto", 2)


def test_parameters_are_fitted_to_each_panel() -> None:
    request = decided(a="pass", b="fail", c="pass")
    assert under({"name": "threshold", "k": 3}, request).final_vote == "fail"
    assert under({"name": "threshold", "ratio": 0.6}, request).final_vote == "pass"
    assert under({"name": "veto", "holders": ["a"]}, request).final_vote == "pass"


@pytest.mark.parametrize(
    "strategy", [{"name": "threshold", "k": 4}, {"name": "veto", "holders": ["d"]}, {"name": "threshold"}]
)
def test_a_rule_that_does_not_fit_the_panel_is_not_applicable(strategy: dict[str, Any]) -> None:
    with pytest.raises(CannotApply, match=strategy["name"]):
        under(strategy, decided(a="pass", b="pass", c="pass"))


@pytest.mark.parametrize(
    "strategy", ["majorite", {"name": "threshold", "q": 1}, {"name": "veto", "quorum": 0}, {}, {"name": 3}]
)
def test_a_rule_that_never_fits_is_refused_at_once(strategy: Any) -> None:
    with pytest.raises(UnknownStrategy):
        Alternative(strategy)


def test_missing_votes_stay_missing() -> None:
    other = under("unanimous", decided(a="pass", b="pass"))
    assert (other.final_vote, other.reason, other.needed) == ("fail", "quorum", None)


def test_what_was_cut_short_is_not_determined_by_a_rule_that_needs_more() -> None:
    request = decided("early", a="pass", b="pass", c="pass")
    assert len(request.votes) == 2
    other = under("unanimous", request)
    assert (other.final_vote, other.reason) == (None, "undetermined")
    same = under("minority_rule", request)
    assert (same.final_vote, same.needed) == ("pass", 2)


def test_a_tampered_rule_is_not_applicable() -> None:
    request = decided(a="pass", b="pass", c="pass")
    with pytest.raises(CannotApply, match="gone"):
        what_if(request, Rule("gone"))
    with pytest.raises(CannotApply, match="KeyError"):
        what_if(request, Rule("weighted", {"quorum": 1, "weights": {}, "threshold": 0.5}))


@given(
    st.sampled_from(["minority_rule", "absolute_majority", "unanimous", "veto", "weighted"]),
    st.permutations(PANEL),
    st.lists(st.sampled_from(["pass", "fail", "abstain"]), min_size=3, max_size=3),
)
def test_the_votes_that_were_needed_decide_and_one_less_does_not(name: str, order: list[str], said: list[Vote]) -> None:
    rule, cast = choose(name, PANEL), dict(zip(order, said, strict=True))
    needed = votes_needed(rule, PANEL, cast)
    assert needed is not None
    final = rule.decide(PANEL, cast).final_vote
    first = dict(list(cast.items())[:needed])
    assert rule.decide(PANEL, first).final_vote == final
    assert votes_needed(rule, PANEL, dict(list(cast.items())[: needed - 1])) is None


def test_a_verdict_that_was_early_only_for_the_revoked_is_undetermined_by_nothing() -> None:
    """Nobody's vote was cut short, so that other rules have their say."""
    book = Book()
    aggregate = book.receive("one")
    book.vote(aggregate, "a", "pass")
    book.vote(aggregate, "b", "fail")
    book.do(aggregate, Withdraw(frozenset("c"), START + 20), cause=1)
    request = book.state(aggregate)
    for strategy, final_vote in (("minority_rule", "fail"), ({"name": "threshold", "k": 1}, "pass")):
        assert under(strategy, request).final_vote == final_vote
