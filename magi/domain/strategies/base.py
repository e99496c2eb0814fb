"""What an adjudication strategy is: a name, its parameters, and one pure function from votes to an outcome."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct

from magi.domain.messages import Vote

Verdict = Literal["pass", "fail"]


class Outcome(Struct, frozen=True):
    """A verdict and why, in one word (`outcome_reason` of PROTOCOL §1)."""

    final_vote: Verdict
    reason: str


class Votes(Struct, frozen=True):
    """What a strategy sees: the panel, in the order that it was fixed in, and the votes cast so far.

    A voter without an entry in `cast` is missing. Nothing else is known to a strategy: no time, no order of arrival.
    """

    panel: tuple[str, ...]
    cast: Mapping[str, Vote]

    def count(self, vote: Vote) -> int:
        return sum(1 for v in self.cast.values() if v == vote)

    @property
    def passed(self) -> int:
        """P, the number of pass votes."""
        return self.count("pass")

    @property
    def failed(self) -> int:
        """F, the number of fail votes."""
        return self.count("fail")

    @property
    def missing(self) -> int:
        return len(self.panel) - len(self.cast)


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every strategy's parameters. A field's constraints are checked when a request names the strategy.

    They are stored as `fit` returned them, defaults included: a default that changes must not change old verdicts.
    """


class NoParameters(Parameters, frozen=True):
    """For a strategy that takes none."""


def unchanged(parameters: Any, panel: tuple[str, ...]) -> Any:
    return parameters


def unweighted(parameters: Any, weights: Mapping[str, float]) -> Any:
    return parameters


class Strategy(Struct, frozen=True):
    """A rule for adjudication, registered by name (PROTOCOL §4).

    A third party adds one through an entry point of the group ``magi.strategies`` that names a `Strategy`. Every
    strategy must keep the laws of `docs/decisions/0003-monotonicity-and-quorums.md`, since early verdicts rest on them;
    `tests/domain/laws.py` tests any strategy for them.
    """

    name: str
    decide: Callable[[Any, Votes], Outcome]
    """Pure: the parameters that `fit` returned, and the votes, to the outcome."""
    parameters: type[Parameters] = NoParameters
    fit: Callable[[Any, tuple[str, ...]], Any] = unchanged
    """Fills in what depends on the panel (a default quorum). Raises ValueError, naming what doesn't fit."""
    aliases: tuple[str, ...] = ()
    weigh: Callable[[Any, Mapping[str, float]], Any] = unweighted
    """Fills in, before `fit`, the registered weights of the panel's voters where the request names none."""
