"""The laws that every strategy keeps, as functions, and `hold`, which looks for a case that breaks one.

Nothing here knows a strategy: parameters are generated from their type. To test a strategy of your own, install it and
call ``hold(law, name)`` for each law. Why these laws: docs/decisions/0003-monotonicity-and-quorums.md.
"""

from collections.abc import Callable, Collection, Iterator
from itertools import product
from typing import Any, NamedTuple

import msgspec
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

from magi.domain.errors import UnknownStrategy
from magi.domain.messages import Vote
from magi.domain.strategies import Rule, Verdict, choose, decided_early, registered
from tests.domain.generate import SAID, VOTERS, casts, documents, panels


class Case(NamedTuple):
    """Some votes of a panel, and the rule that judges them."""

    rule: Rule
    panel: tuple[str, ...]
    cast: dict[str, Vote]

    def verdict(self, cast: dict[str, Vote] | None = None) -> Verdict:
        """Of these votes, or of `cast`."""
        return self.rule.decide(self.panel, self.cast if cast is None else cast).final_vote

    def who(self, *votes: Vote | None) -> list[str]:
        """The voters that said one of these; None: nothing."""
        return [voter for voter in self.panel if self.cast.get(voter) in votes]

    @property
    def quorum(self) -> int:
        """The parameter `quorum` of the rule; 0 when it has none."""
        quorum: int = self.rule.parameters.get("quorum", 0)
        return quorum


Law = Callable[[Case, st.DataObject], None]


def order_is_irrelevant(case: Case, data: st.DataObject) -> None:
    """Neither the order in which the votes came nor that of the panel matters."""
    arrival = data.draw(st.permutations(list(case.cast.items())))
    panel = tuple(data.draw(st.permutations(case.panel)))
    assert case.rule.decide(panel, dict(arrival)) == case.rule.decide(case.panel, case.cast)


def names_are_irrelevant(case: Case, data: st.DataObject) -> None:
    """Other names for the voters, in the parameters too, give the same outcome."""
    names = data.draw(st.permutations(["anna", "x", "9", *VOTERS]))
    new = dict(zip(case.panel, names, strict=False))
    rule = Rule(case.rule.strategy, _renamed(case.rule.parameters, new))
    panel, cast = tuple(_renamed(list(case.panel), new)), _renamed(case.cast, new)
    assert rule.decide(panel, cast) == case.rule.decide(case.panel, case.cast)


def a_pass_never_hurts(case: Case, data: st.DataObject) -> None:
    """A voter who passes instead of failing, abstaining or being missing never turns a pass into a fail."""
    others = case.who("fail", "abstain", None)
    if others and case.verdict() == "pass":
        voter = data.draw(st.sampled_from(others))
        assert case.verdict({**case.cast, voter: "pass"}) == "pass"


def without_a_fail_it_still_passes(case: Case, data: st.DataObject) -> None:
    """A fail vote that is left out never turns a pass into a fail, as long as the quorum is kept without it."""
    failed, voted = case.who("fail"), case.who("pass", "fail")
    if failed and len(voted) - 1 >= case.quorum and case.verdict() == "pass":
        voter = data.draw(st.sampled_from(failed))
        assert case.verdict({v: vote for v, vote in case.cast.items() if v != voter}) == "pass"


def abstaining_is_like_missing(case: Case, data: st.DataObject) -> None:
    """An abstention ends the waiting for a voter, and counts for nothing else."""
    assert case.verdict({voter: vote for voter, vote in case.cast.items() if vote != "abstain"}) == case.verdict()


def a_missing_quorum_fails(case: Case, data: st.DataObject) -> None:
    """Fewer pass and fail votes than the parameter `quorum` never pass."""
    if len(case.who("pass", "fail")) < case.quorum:
        assert case.verdict() == "fail"


def nothing_passes_by_itself(case: Case, data: st.DataObject) -> None:
    """Without a single pass vote there is no pass: an outage of every voter fails."""
    if not case.who("pass"):
        assert case.verdict() == "fail"


def early_is_final(case: Case, data: st.DataObject) -> None:
    """Once a verdict is given early, no way of filling in the outstanding votes leads to another."""
    early = decided_early(case.rule, case.panel, case.cast)
    if early:
        for fill in _fills(case.who(None), data):
            assert case.verdict({**case.cast, **fill}) == early.final_vote


def only_the_votes_count(case: Case, data: st.DataObject) -> None:
    """Deciding again gives the same outcome, also by the rule that was stored, and leaves the votes as they are."""
    stored = msgspec.json.decode(msgspec.json.encode(case.rule), type=Rule)
    assert stored == case.rule
    before = dict(case.cast)
    first = case.rule.decide(case.panel, case.cast)
    assert [case.rule.decide(case.panel, case.cast), stored.decide(case.panel, case.cast)] == [first, first]
    assert case.cast == before


LAWS: tuple[Law, ...] = (
    order_is_irrelevant,
    names_are_irrelevant,
    a_pass_never_hurts,
    without_a_fail_it_still_passes,
    abstaining_is_like_missing,
    a_missing_quorum_fails,
    nothing_passes_by_itself,
    early_is_final,
    only_the_votes_count,
)


def hold(law: Law, strategy: str, examples: int = 60, phases: Collection[Phase] = tuple(Phase)) -> None:
    """Test `law` on that many cases of a registered strategy. Raises AssertionError with the smallest that breaks it.

    `phases` are those of hypothesis; without shrinking, any case that breaks the law will do.
    """

    # No database: what broke a planted strategy must not be tried first on another one.
    @settings(
        max_examples=examples, phases=phases, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=cases(strategy), data=st.data())
    def holds(case: Case, data: st.DataObject) -> None:
        law(case, data)

    holds()


def cases(strategy: str) -> st.SearchStrategy[Case]:
    """Any panel, any parameters that fit it, any votes."""
    # Built once, not for each case: parameters name any voter, who then stands for one of the panel.
    parameters = documents(registered()[strategy].parameters, st.sampled_from(VOTERS), st.integers(0, len(VOTERS)))

    @st.composite
    def case(draw: st.DrawFn) -> Case:
        panel = draw(panels)
        seats = {voter: panel[seat % len(panel)] for seat, voter in enumerate(VOTERS)}
        try:
            rule = choose({"name": strategy, **_renamed(draw(parameters), seats)}, panel)
        except UnknownStrategy:
            reject()
        return Case(rule, panel, draw(casts(panel)))

    return case()


def _fills(voters: list[str], data: st.DataObject) -> Iterator[dict[str, Vote]]:
    """Every way of filling in these votes, or 20 of them when there are very many."""
    if len(voters) <= 3:
        for said in product(SAID, repeat=len(voters)):
            yield {voter: vote for voter, vote in zip(voters, said, strict=True) if vote}
    else:
        for _ in range(20):
            yield data.draw(casts(voters))


def _renamed(value: Any, new: dict[str, str]) -> Any:
    match value:
        case str():
            return new.get(value, value)
        case dict():
            return {_renamed(key, new): _renamed(item, new) for key, item in value.items()}
        case list():
            return [_renamed(item, new) for item in value]
    return value
