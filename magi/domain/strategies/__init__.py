"""The registered strategies: choose one by what a request says, and decide with it."""

from collections.abc import Collection, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import msgspec
from msgspec import Struct

from magi.domain.errors import StrategyMissing, UnknownStrategy
from magi.domain.messages import Vote
from magi.domain.strategies.base import NoParameters, Outcome, Parameters, Strategy, Verdict, Votes
from magi.domain.strategies.rules import BUILT_IN

__all__ = [
    "NoParameters",
    "Outcome",
    "Parameters",
    "Rule",
    "Strategy",
    "Verdict",
    "Votes",
    "choose",
    "decided_early",
    "registered",
]


@cache
def registered() -> Mapping[str, Strategy]:
    """Every strategy by its name and aliases: the built-in ones, and those of the entry points ``magi.strategies``.

    Raises TypeError when an entry point names something else than a `Strategy`, or a name that is taken.
    """
    found: dict[str, Strategy] = {name: s for s in BUILT_IN for name in (s.name, *s.aliases)}
    for entry in entry_points(group="magi.strategies"):
        try:
            strategy = entry.load()
        except (ImportError, AttributeError) as error:
            raise TypeError(f"entry point {entry.value!r} of magi.strategies: {error}") from error
        if not isinstance(strategy, Strategy):
            raise TypeError(f"entry point {entry.value!r} of magi.strategies: expected a Strategy, got {strategy!r}")
        for name in (strategy.name, *strategy.aliases):
            if name in found:
                raise TypeError(f"entry point {entry.value!r} of magi.strategies: the name {name!r} is taken")
            found[name] = strategy
    return found


class Rule(Struct, frozen=True):
    """A strategy with the parameters that it was fitted with, as stored: enough to decide again, years later."""

    strategy: str
    parameters: dict[str, Any] = {}

    def decide(self, panel: tuple[str, ...], cast: Mapping[str, Vote]) -> Outcome:
        """The outcome of these votes. Raises StrategyMissing when the strategy is not installed here, or is another."""
        strategy = registered().get(self.strategy)
        if strategy is None:
            raise StrategyMissing(f"strategy {self.strategy}: not installed here")
        try:
            parameters = msgspec.convert(self.parameters, strategy.parameters)
        except msgspec.ValidationError as error:
            raise StrategyMissing(f"strategy {self.strategy}: the one installed here is another: {error}") from error
        return strategy.decide(parameters, Votes(panel, cast))


def _named(name: str) -> Strategy:
    try:
        return registered()[name]
    except KeyError:
        known = ", ".join(sorted({s.name for s in registered().values()}))
        raise UnknownStrategy(f"strategy: no strategy is named {name[:80]!r}; there are {known}") from None


def choose(wanted: str | Mapping[str, Any], panel: tuple[str, ...], weights: Mapping[str, float] | None = None) -> Rule:
    """The rule that a request asks for, fitted to its panel.

    `wanted` is a name, or an object such as ``{"name": "threshold", "k": 2}``. `weights` are the registered ones of the
    panel's voters, for a strategy that weighs votes and a request that names none. Raises UnknownStrategy, naming the
    parameter, when there is no such strategy or its parameters don't fit.
    """
    given = {"name": wanted} if isinstance(wanted, str) else dict(wanted)
    name = given.pop("name", None)
    if not isinstance(name, str):
        raise UnknownStrategy("strategy.name: expected the name of a strategy")
    strategy = _named(name)
    try:
        asked = strategy.weigh(msgspec.convert(given, strategy.parameters), weights or {})
        parameters = strategy.fit(asked, panel)
    except ValueError as error:  # msgspec's ValidationError is one; it may quote a field name as long as the message
        raise UnknownStrategy(f"strategy {strategy.name}: {str(error)[:200]}") from None
    # Through JSON, so that the rule in memory equals the one that is read back from the log (a tuple becomes a list).
    return Rule(strategy.name, msgspec.json.decode(msgspec.json.encode(parameters)))


def decided_early(
    rule: Rule, panel: tuple[str, ...], cast: Mapping[str, Vote], out: Collection[str] = ()
) -> Outcome | None:
    """The outcome, when no way of filling in the outstanding votes (pass, fail, abstain, missing) changes the verdict.

    Those of the voters in `out` can't come any more: they are missing.

    Three ways stand for all: every outstanding vote a pass is the best that can come, every one a fail the worst for a
    count, every one missing the worst for a quorum. That they are enough follows from the laws that every strategy
    keeps (docs/decisions/0003-monotonicity-and-quorums.md). The reason is that of the votes that are in.
    """
    open_voters = [voter for voter in panel if voter not in cast and voter not in out]
    now = rule.decide(panel, cast)
    fills: tuple[Vote, ...] = ("pass", "fail")
    for fill in fills:
        if rule.decide(panel, {**cast, **dict.fromkeys(open_voters, fill)}).final_vote != now.final_vote:
            return None
    return now
