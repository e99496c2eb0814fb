"""What another rule would have said of the same votes, and how many of them it would have needed."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from magi.domain.errors import StrategyMissing, UnknownStrategy
from magi.domain.messages import Vote
from magi.domain.strategies import Rule, Verdict, choose, decided_early, registered
from magi.domain.voting_request import VotingRequest

_PANELS = 4096
"""Panels whose fitted rule is kept: there are few, and a rule costs 20 µs to fit."""


class CannotApply(Exception):
    """The rule can't be applied to this request, and why."""


class WhatIf(Struct, frozen=True):
    """A rule's outcome for a request."""

    rule: Rule
    final_vote: Verdict | None
    """None when it is open: the request was decided early, and votes that were never awaited could change this one."""
    reason: str
    needed: int | None
    """After how many votes, in the order that they came in, the verdict was certain; None: only at the deadline."""


class Alternative:
    """A strategy that nobody asked for at the time, such as ``veto`` or ``{"name": "threshold", "k": 2}``."""

    def __init__(self, strategy: str | Mapping[str, Any]) -> None:
        """Raises UnknownStrategy when there is none of this name, or its parameters are never right."""
        given = {"name": strategy} if isinstance(strategy, str) else dict(strategy)
        known = registered().get(str(given.pop("name", "")))
        if known is None:
            choose(strategy, ())  # says which there are
            raise AssertionError("unreachable")
        try:
            msgspec.convert(given, known.parameters)
        except msgspec.ValidationError as error:
            raise UnknownStrategy(f"strategy {known.name}: {error}") from None
        self.strategy = strategy
        self._rules: dict[tuple[str, ...], Rule] = {}

    def rule(self, panel: tuple[str, ...]) -> Rule:
        """The rule, fitted to a panel. Raises CannotApply when its parameters don't fit."""
        known = self._rules.get(panel)
        if known is None:
            try:
                known = choose(self.strategy, panel)
            except UnknownStrategy as error:
                raise CannotApply(error.message) from error
            if len(self._rules) < _PANELS:
                self._rules[panel] = known
        return known


def what_if(request: VotingRequest, rule: Rule) -> WhatIf:
    """What `rule` says of a decided request's votes. Raises CannotApply."""
    cast: dict[str, Vote] = {voter: result.vote for voter, result in request.votes.items()}
    try:
        return _what_if(request, rule, cast)
    except StrategyMissing as error:
        raise CannotApply(str(error)) from error
    except Exception as error:  # a strategy is somebody else's code, and a recorded rule may have been tampered with
        raise CannotApply(f"{rule.strategy}: {type(error).__name__}: {error}") from error


def _what_if(request: VotingRequest, rule: Rule, cast: dict[str, Vote]) -> WhatIf:
    outcome = rule.decide(request.panel, cast)
    needed = votes_needed(rule, request.panel, cast)
    cut_short = request.verdict is not None and request.verdict.decided_by == "early"
    out = request.verdict.out if request.verdict else ()
    if cut_short and needed is None and not decided_early(rule, request.panel, cast, out):
        return WhatIf(rule, None, "undetermined", None)
    return WhatIf(rule, outcome.final_vote, outcome.reason, needed)


def votes_needed(rule: Rule, panel: tuple[str, ...], cast: Mapping[str, Vote]) -> int | None:
    """The number of votes, of `cast` in its order, after which no further one could change the verdict.

    None when that is not so even after all of them: the verdict took the deadline.
    """
    so_far: dict[str, Vote] = {}
    for voter, vote in cast.items():
        so_far[voter] = vote
        if decided_early(rule, panel, so_far):
            return len(so_far)
    return None
