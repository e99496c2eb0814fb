"""The strategies of PROTOCOL §4, one pure function each. P, F and N as there; `cast` = P + F."""

from collections.abc import Mapping
from fractions import Fraction
from math import ceil
from typing import Annotated

import msgspec
from msgspec import Meta

from magi.domain.strategies.base import Outcome, Parameters, Strategy, Votes

Count = Annotated[int, Meta(ge=1)]


def _outcome(passes: bool, reason: str) -> Outcome:
    return Outcome("pass" if passes else "fail", reason)


def _on_panel(name: str, voters: tuple[str, ...], panel: tuple[str, ...]) -> None:
    for voter in voters:
        if voter not in panel:
            raise ValueError(f"{name}: {voter[:80]!r} is not on the panel")


# --- minority_rule: the minority obeys the majority -------------------------------------------------------------------


class Quorum(Parameters, frozen=True):
    quorum: Count | None = None
    """The least number of pass and fail votes; by default more than half of the panel, never more than all of it."""


def _fit_quorum(parameters: Quorum, panel: tuple[str, ...]) -> Quorum:
    wanted = parameters.quorum or len(panel) // 2 + 1
    return msgspec.structs.replace(parameters, quorum=min(wanted, len(panel)))


def _has_quorum(parameters: Quorum, votes: Votes) -> bool:
    return votes.passed + votes.failed >= (parameters.quorum or 1)


def minority_rule(parameters: Quorum, votes: Votes) -> Outcome:
    """Pass if P > F and cast >= quorum. A tie fails."""
    if not _has_quorum(parameters, votes):
        return Outcome("fail", "quorum")
    if votes.passed == votes.failed:
        return Outcome("fail", "tie")
    return _outcome(votes.passed > votes.failed, "majority")


# --- absolute_majority ------------------------------------------------------------------------------------------------


def absolute_majority(_: Parameters, votes: Votes) -> Outcome:
    """Pass if 2P > N: whoever is silent counts against."""
    if 2 * votes.passed > len(votes.panel):
        return Outcome("pass", "majority")
    if 2 * votes.failed > len(votes.panel):
        return Outcome("fail", "majority")
    return Outcome("fail", "tie" if votes.passed == votes.failed > 0 else "quorum")


# --- threshold --------------------------------------------------------------------------------------------------------


class Threshold(Parameters, frozen=True, omit_defaults=True):
    k: Count | None = None
    ratio: Annotated[float, Meta(gt=0, le=1)] | None = None


def _fit_threshold(parameters: Threshold, panel: tuple[str, ...]) -> Threshold:
    if (parameters.k is None) == (parameters.ratio is None):
        raise ValueError("expected exactly one of k and ratio")
    # The ratio as it was written: 0.7 of 10 is 7, while ceil(0.7 * 10) of binary floats can be 8.
    k = parameters.k or ceil(Fraction(str(parameters.ratio)) * len(panel))
    if k > len(panel):
        raise ValueError(f"k: expected at most {len(panel)}, the panel's size, got {k}")
    return Threshold(k=k, ratio=parameters.ratio)


def threshold(parameters: Threshold, votes: Votes) -> Outcome:
    """Pass if P >= k; k = ceil(ratio * N) when a ratio is given."""
    return _outcome(votes.passed >= (parameters.k or 1), "threshold")


# --- unanimous --------------------------------------------------------------------------------------------------------


def unanimous(_: Parameters, votes: Votes) -> Outcome:
    """Pass if P = N."""
    if votes.passed == len(votes.panel):
        return Outcome("pass", "unanimous")
    return Outcome("fail", "dissent" if votes.failed else "quorum")


# --- veto -------------------------------------------------------------------------------------------------------------


class Veto(Quorum, frozen=True):
    holders: tuple[str, ...] = ()
    """Whose fail vote is a veto; by default everyone's."""


def _fit_veto(parameters: Veto, panel: tuple[str, ...]) -> Veto:
    _on_panel("holders", parameters.holders, panel)
    quorum = _fit_quorum(parameters, panel).quorum
    return Veto(quorum=quorum, holders=tuple(sorted(set(parameters.holders or panel))))


def veto(parameters: Veto, votes: Votes) -> Outcome:
    """Pass if P >= 1, no holder of a veto votes fail, and cast >= quorum."""
    if any(votes.cast.get(holder) == "fail" for holder in parameters.holders):
        return Outcome("fail", "veto")
    if not _has_quorum(parameters, votes):
        return Outcome("fail", "quorum")
    return _outcome(votes.passed >= 1, "no_veto" if votes.passed else "majority")


# --- weighted ---------------------------------------------------------------------------------------------------------


class Weighted(Quorum, frozen=True):
    weights: dict[str, Annotated[float, Meta(ge=0, le=1e9)]] = {}
    """A weight a voter; a voter that isn't named weighs 1. None named: the registered weights."""
    threshold: Annotated[float, Meta(ge=0, lt=1)] = 0.5


def _weigh(parameters: Weighted, weights: Mapping[str, float]) -> Weighted:
    return parameters if parameters.weights else msgspec.structs.replace(parameters, weights=dict(weights))


def _fit_weighted(parameters: Weighted, panel: tuple[str, ...]) -> Weighted:
    _on_panel("weights", tuple(parameters.weights), panel)
    weights = {voter: parameters.weights.get(voter, 1.0) for voter in panel}
    if not any(weights.values()):
        raise ValueError("weights: expected at least one above 0")
    quorum = _fit_quorum(parameters, panel).quorum
    return Weighted(quorum=quorum, weights=weights, threshold=parameters.threshold)


def weighted(parameters: Weighted, votes: Votes) -> Outcome:
    """Pass if the weight of the pass votes > threshold * the weight of all cast, and cast >= quorum."""
    if not _has_quorum(parameters, votes):
        return Outcome("fail", "quorum")
    # Fractions of the decimals as they were written: 0.1 + 0.2 against 0.3 is a tie, in any order.
    weight = {voter: Fraction(str(w)) for voter, w in parameters.weights.items()}
    passed = sum(weight[v] for v, vote in votes.cast.items() if vote == "pass")
    cast = passed + sum(weight[v] for v, vote in votes.cast.items() if vote == "fail")
    needed = Fraction(str(parameters.threshold)) * cast
    # No weight for a pass and some against it is no tie, even where a threshold of 0 asks for none.
    tie = passed == needed and (passed or not cast)
    return Outcome("fail", "tie") if tie else _outcome(passed > needed, "weighted")


BUILT_IN = (
    Strategy("minority_rule", minority_rule, Quorum, _fit_quorum, ("majority",)),
    Strategy("absolute_majority", absolute_majority),
    Strategy("threshold", threshold, Threshold, _fit_threshold),
    Strategy("unanimous", unanimous),
    Strategy("veto", veto, Veto, _fit_veto),
    Strategy("weighted", weighted, Weighted, _fit_weighted, weigh=_weigh),
)
