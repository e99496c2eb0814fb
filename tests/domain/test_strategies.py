"""The strategies of PROTOCOL §4, as tables of cases; and what a request can ask for."""

from typing import Any

import pytest

from magi.domain.errors import UnknownStrategy
from magi.domain.messages import Vote
from magi.domain.strategies import Outcome, Rule, Votes, choose, decided_early, registered

Wanted = str | dict[str, Any]

SAID: dict[str, Vote] = {"p": "pass", "f": "fail", "a": "abstain"}


def panel_of(size: int) -> tuple[str, ...]:
    return tuple("abcdefghij"[:size])


def cast_of(votes: str) -> dict[str, Vote]:
    """``pf-`` is: a passes, b fails, c is missing."""
    return {voter: SAID[said] for voter, said in zip(panel_of(len(votes)), votes, strict=True) if said != "-"}


def outcome(wanted: Wanted, votes: str) -> Outcome:
    panel = panel_of(len(votes))
    return choose(wanted, panel).decide(panel, cast_of(votes))


MINORITY_RULE = [
    # The example of the protocol: one against one.
    ("minority_rule", "pf", "fail tie"),
    ("minority_rule", "ppf", "pass majority"),
    ("minority_rule", "pff", "fail majority"),
    ("minority_rule", "p", "pass majority"),
    ("minority_rule", "f", "fail majority"),
    # The default quorum is more than half of the panel: 2 of 3, 3 of 4.
    ("minority_rule", "p--", "fail quorum"),
    ("minority_rule", "pp-", "pass majority"),
    ("minority_rule", "pp--", "fail quorum"),
    ("minority_rule", "ppf-", "pass majority"),
    # An abstention and silence are no fail votes, and count for no quorum.
    ("minority_rule", "paa", "fail quorum"),
    ("minority_rule", "ppa", "pass majority"),
    ("minority_rule", "aaa", "fail quorum"),
    ("minority_rule", "---", "fail quorum"),
    # An odd panel turned even by an abstention or a crash: a tie, whatever the order.
    ("minority_rule", "pfa", "fail tie"),
    ("minority_rule", "f-p", "fail tie"),
    ("minority_rule", "-pf", "fail tie"),
    # The quorum is looked at before the count.
    ({"name": "minority_rule", "quorum": 1}, "p---", "pass majority"),
    ({"name": "minority_rule", "quorum": 1}, "pf--", "fail tie"),
    ({"name": "minority_rule", "quorum": 3}, "pp-", "fail quorum"),
    ({"name": "minority_rule", "quorum": 3}, "pf-", "fail quorum"),
    ({"name": "minority_rule", "quorum": 9}, "ppf", "pass majority"),  # never more than N
    ("majority", "ppf", "pass majority"),
    ("majority", "pf", "fail tie"),
]

ABSOLUTE_MAJORITY = [
    ("absolute_majority", "pp-", "pass majority"),
    ("absolute_majority", "ppff", "fail tie"),
    ("absolute_majority", "ff-", "fail majority"),
    # Silence stays in the denominator: two of four are not more than half.
    ("absolute_majority", "pp--", "fail quorum"),
    ("absolute_majority", "ppfa", "fail quorum"),
    ("absolute_majority", "pfa", "fail tie"),
    ("absolute_majority", "aaa", "fail quorum"),
    ("absolute_majority", "---", "fail quorum"),
]

THRESHOLD = [
    ({"name": "threshold", "k": 2}, "ppf", "pass threshold"),
    ({"name": "threshold", "k": 2}, "pfa", "fail threshold"),
    ({"name": "threshold", "k": 2}, "pp---", "pass threshold"),
    ({"name": "threshold", "k": 3}, "ppp", "pass threshold"),
    ({"name": "threshold", "k": 1}, "pfff", "pass threshold"),
    ({"name": "threshold", "k": 1}, "fa-", "fail threshold"),
    # ceil(ratio * N) of the ratio as it was written, not of its binary neighbour.
    ({"name": "threshold", "ratio": 0.7}, "pppppppfff", "pass threshold"),
    ({"name": "threshold", "ratio": 0.7}, "ppppppffff", "fail threshold"),
    ({"name": "threshold", "ratio": 0.66}, "ppf", "pass threshold"),
    ({"name": "threshold", "ratio": 0.67}, "ppf", "fail threshold"),
    ({"name": "threshold", "ratio": 1}, "pp", "pass threshold"),
    ({"name": "threshold", "ratio": 1e-300}, "pff", "pass threshold"),
]

UNANIMOUS = [
    ("unanimous", "ppp", "pass unanimous"),
    ("unanimous", "p", "pass unanimous"),
    ("unanimous", "ppf", "fail dissent"),
    ("unanimous", "pf-", "fail dissent"),
    ("unanimous", "ppa", "fail quorum"),
    ("unanimous", "pp-", "fail quorum"),
]

VETO = [
    # By default everyone holds a veto.
    ("veto", "ppf", "fail veto"),
    ("veto", "ppa", "pass no_veto"),
    ("veto", "ppp", "pass no_veto"),
    ("veto", "p--", "fail quorum"),
    ("veto", "aaa", "fail quorum"),
    ("veto", "f--", "fail veto"),  # a veto needs no quorum
    ({"name": "veto", "holders": []}, "ppf", "fail veto"),
    ({"name": "veto", "holders": ["a"]}, "pff", "pass no_veto"),
    ({"name": "veto", "holders": ["a"]}, "fpp", "fail veto"),
    ({"name": "veto", "holders": ["a", "a"]}, "fpp", "fail veto"),
    # The holder is absent, or abstains: no veto, but the quorum is needed all the same.
    ({"name": "veto", "holders": ["a"]}, "-pp", "pass no_veto"),
    ({"name": "veto", "holders": ["a"]}, "app", "pass no_veto"),
    ({"name": "veto", "holders": ["a"]}, "-p-", "fail quorum"),
    ({"name": "veto", "holders": ["a"], "quorum": 1}, "-p-", "pass no_veto"),
    ({"name": "veto", "holders": ["a"], "quorum": 3}, "-pp", "fail quorum"),
    # Nobody vetoes and nobody passes.
    ({"name": "veto", "holders": ["a"]}, "aff", "fail majority"),
]

WEIGHTED = [
    ("weighted", "ppf", "pass weighted"),
    ("weighted", "pff", "fail weighted"),
    ("weighted", "pf", "fail tie"),
    ("weighted", "p--", "fail quorum"),
    ({"name": "weighted", "weights": {"a": 3}}, "pff", "pass weighted"),
    ({"name": "weighted", "weights": {"a": 2}}, "pff", "fail tie"),
    # 0.1 + 0.2 is 0.3, whatever binary floats say, and from whichever side.
    ({"name": "weighted", "weights": {"a": 0.1, "b": 0.2, "c": 0.3}}, "ppf", "fail tie"),
    ({"name": "weighted", "weights": {"a": 0.1, "b": 0.2, "c": 0.3}}, "ffp", "fail tie"),
    ({"name": "weighted", "weights": {"a": 0.1, "b": 0.2, "c": 0.31}}, "ffp", "pass weighted"),
    # One who weighs everything decides, but is no quorum.
    ({"name": "weighted", "weights": {"a": 1e9}}, "pff", "pass weighted"),
    ({"name": "weighted", "weights": {"a": 1e9}}, "p--", "fail quorum"),
    # A weight of zero is heard for the quorum only.
    ({"name": "weighted", "weights": {"a": 0, "b": 0}}, "pf-", "fail tie"),
    ({"name": "weighted", "weights": {"a": 0}}, "fp-", "pass weighted"),
    ({"name": "weighted", "weights": {"a": -0.0, "b": 1e-320}}, "fp-", "pass weighted"),
    # Abstentions and silence are not cast.
    ({"name": "weighted", "weights": {"c": 100}}, "ppa", "pass weighted"),
    ({"name": "weighted", "weights": {"c": 100}}, "pp-", "pass weighted"),
    ({"name": "weighted", "quorum": 3}, "ppa", "fail quorum"),
    # More than the threshold, not as much.
    ({"name": "weighted", "threshold": 0.75}, "pppf", "fail tie"),
    ({"name": "weighted", "threshold": 0.74}, "pppf", "pass weighted"),
    ({"name": "weighted", "threshold": 0}, "pff", "pass weighted"),
    ({"name": "weighted", "threshold": 0}, "fff", "fail weighted"),
]


@pytest.mark.parametrize(
    ("wanted", "votes", "expected"), MINORITY_RULE + ABSOLUTE_MAJORITY + THRESHOLD + UNANIMOUS + VETO + WEIGHTED
)
def test_decides_by_its_definition(wanted: Wanted, votes: str, expected: str) -> None:
    verdict, reason = expected.split()
    assert outcome(wanted, votes) == Outcome(verdict, reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "fixed"),
    [
        ("weighted", {"a": 2.0, "b": 0.5, "c": 1.0}),
        ({"name": "weighted", "weights": {}}, {"a": 2.0, "b": 0.5, "c": 1.0}),
        ({"name": "weighted", "weights": {"b": 7}}, {"a": 1.0, "b": 7.0, "c": 1.0}),
    ],
)
def test_registered_weights_are_for_requests_that_name_none(wanted: Wanted, fixed: dict[str, float]) -> None:
    registered_weights = {"a": 2.0, "b": 0.5, "c": 1.0}
    assert choose(wanted, panel_of(3), registered_weights).parameters["weights"] == fixed


def test_registered_weights_are_nothing_to_a_strategy_that_weighs_no_votes() -> None:
    assert choose("minority_rule", panel_of(3), {"a": 5.0}) == choose("minority_rule", panel_of(3))


def test_a_panel_whose_registered_weights_are_all_zero_can_not_be_asked_for_a_weighted_verdict() -> None:
    with pytest.raises(UnknownStrategy, match="expected at least one above 0"):
        choose("weighted", panel_of(2), {"a": 0.0, "b": 0.0})


def test_the_strategies_of_the_protocol_are_registered() -> None:
    names = {"minority_rule", "majority", "absolute_majority", "threshold", "unanimous", "veto", "weighted"}
    assert names <= set(registered())
    assert registered()["majority"] is registered()["minority_rule"]


def test_a_strategy_sees_the_counts_of_the_protocol() -> None:
    votes = Votes(panel_of(6), cast_of("pppfa-"))
    assert (votes.passed, votes.failed, votes.count("abstain"), votes.missing) == (3, 1, 1, 1)


# What is stored: everything that the verdict follows from, defaults included.
FITTED = [
    ("minority_rule", 4, Rule("minority_rule", {"quorum": 3})),
    ("minority_rule", 5, Rule("minority_rule", {"quorum": 3})),
    ("minority_rule", 1, Rule("minority_rule", {"quorum": 1})),
    ("majority", 3, Rule("minority_rule", {"quorum": 2})),
    ({"name": "minority_rule", "quorum": 99}, 3, Rule("minority_rule", {"quorum": 3})),
    ({"name": "minority_rule", "quorum": None}, 3, Rule("minority_rule", {"quorum": 2})),
    ("absolute_majority", 3, Rule("absolute_majority", {})),
    ({"name": "threshold", "k": 2}, 3, Rule("threshold", {"k": 2})),
    ({"name": "threshold", "ratio": 0.7}, 10, Rule("threshold", {"k": 7, "ratio": 0.7})),
    ("unanimous", 2, Rule("unanimous", {})),
    ("veto", 3, Rule("veto", {"quorum": 2, "holders": ["a", "b", "c"]})),
    ({"name": "veto", "holders": ["b", "a", "b"]}, 3, Rule("veto", {"quorum": 2, "holders": ["a", "b"]})),
    (
        {"name": "weighted", "weights": {"b": 2}},
        2,
        Rule("weighted", {"quorum": 2, "weights": {"a": 1.0, "b": 2.0}, "threshold": 0.5}),
    ),
]


@pytest.mark.parametrize(("wanted", "size", "rule"), FITTED)
def test_is_fitted_to_the_panel(wanted: Wanted, size: int, rule: Rule) -> None:
    assert choose(wanted, panel_of(size)) == rule


NAN, INF = float("nan"), float("inf")

REFUSED = [
    ("plurality", "strategy: no strategy is named 'plurality'; there are "),
    ({"name": "plurality"}, "strategy: no strategy is named 'plurality'"),
    ({}, "strategy.name: expected"),
    ({"k": 2}, "strategy.name: expected"),
    ({"name": 3}, "strategy.name: expected"),
    ({"name": None}, "strategy.name: expected"),
    ({"name": "unanimous", "k": 1}, "unknown field `k`"),
    ({"name": "minority_rule", "Quorum": 1}, "unknown field `Quorum`"),
    ({"name": "majority", "quorum": 0}, r"strategy minority_rule: .*`\$.quorum`"),
    ({"name": "minority_rule", "quorum": -1}, r"`\$.quorum`"),
    ({"name": "minority_rule", "quorum": 1.5}, r"`\$.quorum`"),
    ({"name": "minority_rule", "quorum": True}, r"`\$.quorum`"),
    ({"name": "minority_rule", "quorum": "2"}, r"`\$.quorum`"),
    ("threshold", "expected exactly one of k and ratio"),
    ({"name": "threshold", "k": 2, "ratio": 0.5}, "expected exactly one of k and ratio"),
    ({"name": "threshold", "k": None, "ratio": None}, "expected exactly one of k and ratio"),
    ({"name": "threshold", "k": 4}, "k: expected at most 3, the panel's size, got 4"),
    ({"name": "threshold", "k": 10**40}, "k: expected at most 3"),
    ({"name": "threshold", "k": 0}, r"`\$.k`"),
    ({"name": "threshold", "ratio": 0}, r"`\$.ratio`"),
    ({"name": "threshold", "ratio": 1.01}, r"`\$.ratio`"),
    ({"name": "threshold", "ratio": NAN}, r"`\$.ratio`"),
    ({"name": "threshold", "ratio": INF}, r"`\$.ratio`"),
    ({"name": "veto", "holders": ["z"]}, "holders: 'z' is not on the panel"),
    ({"name": "veto", "holders": "a"}, r"`\$.holders`"),
    ({"name": "veto", "quorum": 0}, r"`\$.quorum`"),
    ({"name": "weighted", "weights": {"z": 1}}, "weights: 'z' is not on the panel"),
    ({"name": "weighted", "weights": {"a": -1}}, r"`\$.weights"),
    ({"name": "weighted", "weights": {"a": NAN}}, r"`\$.weights"),
    ({"name": "weighted", "weights": {"a": INF}}, r"`\$.weights"),
    ({"name": "weighted", "weights": {"a": 1e10}}, r"`\$.weights"),
    ({"name": "weighted", "weights": {"a": "1"}}, r"`\$.weights"),
    ({"name": "weighted", "weights": {"a": True}}, r"`\$.weights"),
    ({"name": "weighted", "weights": {"a": 0, "b": 0, "c": 0}}, "weights: expected at least one above 0"),
    ({"name": "weighted", "threshold": 1}, r"`\$.threshold`"),
    ({"name": "weighted", "threshold": -0.1}, r"`\$.threshold`"),
    ({"name": "weighted", "threshold": NAN}, r"`\$.threshold`"),
]


@pytest.mark.parametrize(("wanted", "message"), REFUSED)
def test_refuses_what_does_not_fit(wanted: Wanted, message: str) -> None:
    with pytest.raises(UnknownStrategy, match=message):
        choose(wanted, panel_of(3))


@pytest.mark.parametrize(
    "wanted", ["x" * 10_000, {"name": "unanimous", "x" * 10_000: 1}, {"name": "veto", "holders": ["x" * 10_000]}]
)
def test_a_refusal_does_not_repeat_all_that_it_was_sent(wanted: Wanted) -> None:
    with pytest.raises(UnknownStrategy) as refused:
        choose(wanted, panel_of(3))
    assert len(refused.value.message) < 400


EARLY = [
    ("minority_rule", "pp-", "pass majority"),
    ("minority_rule", "ff-", "fail majority"),
    ("minority_rule", "p--", None),
    ("minority_rule", "pf-", None),
    ("minority_rule", "fa-", "fail quorum"),  # the last pass would only make a tie
    ("minority_rule", "ff--", "fail quorum"),  # two passes would only make a tie: the quorum is missing for now
    ("minority_rule", "aa-", "fail quorum"),
    ("absolute_majority", "ppp--", "pass majority"),
    ("absolute_majority", "pp---", None),
    ({"name": "threshold", "k": 2}, "pp-", "pass threshold"),
    ({"name": "threshold", "k": 2}, "fa-", "fail threshold"),
    ("unanimous", "f--", "fail dissent"),
    ("unanimous", "a--", "fail quorum"),
    ("unanimous", "pp-", None),
    ("veto", "f--", "fail veto"),
    ("veto", "pp-", None),
    ({"name": "veto", "holders": ["a"]}, "pp-", "pass no_veto"),
    ({"name": "veto", "holders": ["c"]}, "pp-", None),
    ({"name": "weighted", "weights": {"a": 9}}, "pf-", "pass weighted"),
    ({"name": "weighted", "weights": {"a": 9}}, "p--", None),  # before the quorum
    ({"name": "weighted", "weights": {"a": 9}}, "f--", "fail quorum"),
]


@pytest.mark.parametrize(("wanted", "votes", "expected"), EARLY)
def test_is_decided_early_when_the_rest_cannot_change_it(wanted: Wanted, votes: str, expected: str | None) -> None:
    panel = panel_of(len(votes))
    early = decided_early(choose(wanted, panel), panel, cast_of(votes))
    assert early == (Outcome(*expected.split()) if expected else None)  # type: ignore[arg-type]
