"""Every registered strategy keeps every law; the tie law, and which strategies it is for; the counterexamples."""

from itertools import product
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from magi.domain.messages import Vote
from magi.domain.strategies import Outcome, choose, decided_early, registered
from tests.domain.conftest import Install
from tests.domain.generate import SAID
from tests.domain.laws import LAWS, Law, hold

EVERY_STRATEGY = sorted({strategy.name for strategy in registered().values()})


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("strategy", EVERY_STRATEGY)
def test_every_registered_strategy_keeps_the_law(strategy: str, law: Law) -> None:
    hold(law, strategy)


# --- Early verdicts, exhaustively -------------------------------------------------------------------------------------

RULES = [
    {"name": "minority_rule"},
    *({"name": "minority_rule", "quorum": q} for q in range(1, 5)),
    {"name": "absolute_majority"},
    *({"name": "threshold", "k": k} for k in range(1, 5)),
    {"name": "unanimous"},
    *({"name": "veto", "quorum": q} for q in range(1, 5)),
    *({"name": "veto", "holders": ["a", "b"][:n], "quorum": q} for n in (1, 2) for q in range(1, 5)),
    *({"name": "weighted", "weights": {"a": 2, "b": 0}, "threshold": t, "quorum": q} for t in (0, 0.5) for q in (1, 3)),
]


@pytest.mark.parametrize("wanted", RULES, ids=str)
def test_a_verdict_is_given_early_exactly_when_no_fill_changes_it(wanted: dict[str, Any]) -> None:
    """All votes of four voters, and for each every way of filling in the outstanding ones: the law without luck."""
    panel = ("a", "b", "c", "d")
    rule = choose(wanted, panel)
    every = [{v: vote for v, vote in zip(panel, said, strict=True) if vote} for said in product(SAID, repeat=4)]
    verdict = {frozenset(cast.items()): rule.decide(panel, cast).final_vote for cast in every}
    for cast in every:
        final = {verdict[fill.union(cast.items())] for fill in _every_fill(tuple(v for v in panel if v not in cast))}
        early = decided_early(rule, panel, cast)
        assert (early is not None) == (len(final) == 1), cast
        assert early is None or {early.final_vote} == final, cast


def _every_fill(voters: tuple[str, ...]) -> list[frozenset[tuple[str, Vote]]]:
    return [
        frozenset((voter, vote) for voter, vote in zip(voters, said, strict=True) if vote)
        for said in product(SAID, repeat=len(voters))
    ]


# --- What does not hold, pinned (docs/decisions/0003) -----------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [
        {"name": "minority_rule"},
        {"name": "veto", "holders": ["a"]},
        {"name": "weighted"},
    ],
    ids=lambda wanted: wanted["name"],
)
@pytest.mark.parametrize("instead", ["abstain", None])
def test_leaving_out_a_fail_can_lose_the_quorum(wanted: dict[str, Any], instead: Vote | None) -> None:
    panel: tuple[str, ...] = ("a", "b", "c", "d")  # the default quorum is 3
    with_fail: dict[str, Vote] = {"a": "pass", "b": "pass", "c": "fail"}
    without: dict[str, Vote] = {"a": "pass", "b": "pass", **({"c": instead} if instead else {})}
    rule = choose(wanted, panel)
    assert rule.decide(panel, with_fail).final_vote == "pass"
    assert rule.decide(panel, without) == Outcome("fail", "quorum")


def test_all_pass_and_all_fail_are_not_enough_to_decide_early() -> None:
    """Both pass here, and yet the two that are open may stay silent: then the quorum is missing."""
    panel = ("a", "b", "c", "d", "e")
    rule = choose({"name": "minority_rule", "quorum": 4}, panel)
    cast: dict[str, Vote] = {"a": "pass", "b": "pass", "c": "pass"}
    both: tuple[Vote, ...] = ("pass", "fail")
    assert {rule.decide(panel, {**cast, "d": fill, "e": fill}).final_vote for fill in both} == {"pass"}
    assert rule.decide(panel, cast) == Outcome("fail", "quorum")
    assert decided_early(rule, panel, cast) is None


# --- Ties -------------------------------------------------------------------------------------------------------------

TIES_FAIL = [
    ({"name": "minority_rule"}, "any"),
    ({"name": "minority_rule", "quorum": 1}, "any"),
    ({"name": "absolute_majority"}, "any"),
    ({"name": "unanimous"}, "any"),
    ({"name": "veto"}, "everyone holds a veto"),
    ({"name": "veto", "quorum": 1}, "everyone holds a veto"),
    ({"name": "threshold", "ratio": 0.51}, "k > N/2"),
    ({"name": "threshold", "ratio": 1}, "k > N/2"),
    ({"name": "weighted"}, "a threshold of 0.5 or more, and equal weights"),
    ({"name": "weighted", "threshold": 0.9, "quorum": 1}, "a threshold of 0.5 or more, and equal weights"),
]


@pytest.mark.parametrize(("wanted", "when"), TIES_FAIL)
@settings(max_examples=40, deadline=None)
@given(pairs=st.integers(1, 4), others=st.lists(st.sampled_from(["abstain", None]), max_size=3))
def test_a_tie_never_passes(wanted: dict[str, Any], when: str, pairs: int, others: list[Vote | None]) -> None:
    said = [*SAID[:2] * pairs, *others]
    panel = tuple(f"v{n}" for n in range(len(said)))
    cast = {voter: vote for voter, vote in zip(panel, said, strict=True) if vote}
    assert choose(wanted, panel).decide(panel, cast).final_vote == "fail"


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.7, 1.0, 1e-9, 1e9]), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_sides_of_equal_weight_never_pass(weights: list[float], random: Any) -> None:
    """The same weights on both sides, added up in different orders."""
    voters = [(f"p{n}", w) for n, w in enumerate(weights)] + [(f"f{n}", w) for n, w in enumerate(weights)]
    random.shuffle(voters)
    panel = tuple(voter for voter, _ in voters)
    cast: dict[str, Vote] = {voter: "pass" if voter.startswith("p") else "fail" for voter in panel}
    rule = choose({"name": "weighted", "weights": dict(voters)}, panel)
    assert rule.decide(panel, cast) == Outcome("fail", "tie")


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"name": "threshold", "k": 1}, "threshold"),
        ({"name": "veto", "holders": ["a"]}, "no_veto"),
        ({"name": "weighted", "weights": {"a": 2}}, "weighted"),
        ({"name": "weighted", "threshold": 0.4}, "weighted"),
    ],
)
def test_a_rule_that_asks_for_less_than_a_majority_passes_as_many_fails(wanted: dict[str, Any], reason: str) -> None:
    rule = choose(wanted, ("a", "b"))
    assert rule.decide(("a", "b"), {"a": "pass", "b": "fail"}) == Outcome("pass", reason)


# --- The laws catch what breaks them ----------------------------------------------------------------------------------

PLANTED = """
from magi.domain.strategies import Outcome, Parameters, Strategy

class Quorum(Parameters, frozen=True):
    quorum: int = 2

def strategy(name, passes, parameters=Parameters):
    return Strategy(name, lambda p, v: Outcome("pass" if passes(v) else "fail", "planted"), parameters)

def said(votes, *names):
    return [votes.cast.get(name) for name in names]

moods = []

def is_first_mood(votes):
    moods.append(votes)
    return len(moods) % 2

first_come = strategy("first_come", lambda v: said(v, *list(v.cast)[:1]) == ["pass"])
first_named = strategy("first_named", lambda v: said(v, *v.panel[:1]) == ["pass"])
alphabetical = strategy("alphabetical", lambda v: said(v, min(v.panel)) == ["pass"])
odd = strategy("odd", lambda v: v.passed % 2)
shrinking = strategy("shrinking", lambda v: 2 * v.passed > len(v.panel) - v.count("abstain"))
secretive = strategy("secretive", lambda v: v.passed > v.failed and v.passed + v.failed > 2)
hasty = strategy("hasty", lambda v: v.passed > v.failed, Quorum)
fail_open = strategy("fail_open", lambda v: not v.failed)
unlucky = strategy("unlucky", lambda v: v.passed and v.failed != 1)
moody = strategy("moody", is_first_mood)
"""

BREAKS = {
    "first_come": "order_is_irrelevant",
    "first_named": "order_is_irrelevant",
    "alphabetical": "names_are_irrelevant",
    "odd": "a_pass_never_hurts",
    "shrinking": "abstaining_is_like_missing",
    "secretive": "without_a_fail_it_still_passes",
    "hasty": "a_missing_quorum_fails",
    "fail_open": "nothing_passes_by_itself",
    "unlucky": "early_is_final",
    "moody": "only_the_votes_count",
}


def test_each_law_catches_a_strategy_that_breaks_it(install: Install) -> None:
    install(PLANTED, module="planted", **{name: f"planted:{name}" for name in BREAKS})
    laws = {law.__name__: law for law in LAWS}
    assert set(BREAKS.values()) == set(laws)
    for strategy, law in BREAKS.items():
        with pytest.raises(AssertionError):
            hold(laws[law], strategy, examples=500, phases=[Phase.generate])
