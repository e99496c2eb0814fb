"""Strategies of other distributions, found through the entry points of real metadata on `sys.path`."""

import pytest

from magi.domain.errors import StrategyMissing, UnknownStrategy
from magi.domain.strategies import Outcome, Rule, choose, decided_early, registered
from tests.domain.conftest import Install
from tests.domain.laws import LAWS, hold

TWO_THIRDS = """
from magi.domain.strategies import Outcome, Parameters, Strategy

class Quorum(Parameters, frozen=True):
    quorum: int | None = None

def fit(parameters, panel):
    if parameters.quorum is not None and not 1 <= parameters.quorum <= len(panel):
        raise ValueError(f"quorum: expected 1 to {len(panel)}")
    return Quorum(parameters.quorum or 1)

def decide(parameters, votes):
    cast = votes.passed + votes.failed
    if cast < parameters.quorum:
        return Outcome("fail", "quorum")
    return Outcome("pass" if 3 * votes.passed >= 2 * cast else "fail", "two_thirds")

strategy = Strategy("two_thirds", decide, Quorum, fit, aliases=("supermajority",))
"""

# How the metadata of a distribution can go wrong: the module's source, and what the message says.
WRONG = [
    ("strategy = 'majority'", "expected a Strategy, got 'majority'"),
    ("from magi.domain.strategies import Strategy as strategy", "expected a Strategy, got <class"),
    ("", "has no attribute 'strategy'"),
    ("import no_such_module_at_all", "No module named 'no_such_module_at_all'"),
    (TWO_THIRDS.replace('"two_thirds", decide', '"veto", decide'), "the name 'veto' is taken"),
    (TWO_THIRDS.replace('"supermajority"', '"majority"'), "the name 'majority' is taken"),
    (TWO_THIRDS.replace('"supermajority"', '"two_thirds"'), "the name 'two_thirds' is taken"),
]


def test_an_installed_strategy_decides_under_its_name_and_its_alias(install: Install) -> None:
    install(TWO_THIRDS, module="two_thirds_a", any_name="two_thirds_a:strategy")
    panel = ("a", "b", "c")
    for name in ("two_thirds", "supermajority"):
        rule = choose({"name": name, "quorum": 3}, panel)
        assert rule == Rule("two_thirds", {"quorum": 3})
        assert rule.decide(panel, {"a": "pass", "b": "pass", "c": "fail"}) == Outcome("pass", "two_thirds")
        assert rule.decide(panel, {"a": "pass", "b": "pass"}) == Outcome("fail", "quorum")
        assert decided_early(rule, panel, {"a": "fail", "b": "fail"}) == Outcome("fail", "quorum")


def test_its_parameters_are_checked_and_fitted(install: Install) -> None:
    install(TWO_THIRDS, module="two_thirds_b", two_thirds="two_thirds_b:strategy")
    assert choose("two_thirds", ("a",)).parameters == {"quorum": 1}
    with pytest.raises(UnknownStrategy, match="strategy two_thirds: quorum: expected 1 to 1"):
        choose({"name": "two_thirds", "quorum": 2}, ("a",))
    with pytest.raises(UnknownStrategy, match=r"strategy two_thirds: .*unknown field `share`"):
        choose({"name": "two_thirds", "share": 0.5}, ("a",))


def test_the_laws_can_be_tested_on_it(install: Install) -> None:
    install(TWO_THIRDS, module="two_thirds_c", two_thirds="two_thirds_c:strategy")
    for law in LAWS:
        hold(law, "two_thirds", examples=25)


def test_without_the_distribution_there_is_no_such_strategy(install: Install) -> None:
    with pytest.raises(
        UnknownStrategy, match="no strategy is named 'two_thirds'; there are absolute_majority, minority"
    ):
        choose("two_thirds", ("a",))


def test_a_stored_rule_whose_strategy_is_gone_or_another_is_no_refusal(install: Install) -> None:
    """A refusal would end the ballot that it answers; this vote must count once the strategy is back."""
    with pytest.raises(StrategyMissing, match="strategy two_thirds: not installed here"):
        Rule("two_thirds", {"quorum": 3}).decide(("a",), {})
    install(TWO_THIRDS, module="two_thirds_d", two_thirds="two_thirds_d:strategy")
    with pytest.raises(StrategyMissing, match=r"strategy two_thirds: the one installed here is another: .*`share`"):
        Rule("two_thirds", {"share": 0.5}).decide(("a",), {})


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_what_is_wrong_with_an_entry_point_is_said(install: Install, case: int) -> None:
    source, message = WRONG[case]
    install(source, module=f"wrong_{case}", mine=f"wrong_{case}:strategy")
    with pytest.raises(TypeError, match=f"^entry point 'wrong_{case}:strategy' of magi.strategies: ") as caught:
        registered()
    assert message in str(caught.value)


def test_two_distributions_cannot_bring_the_same_name(install: Install) -> None:
    install(TWO_THIRDS, module="two_thirds_e", two_thirds="two_thirds_e:strategy")
    install(TWO_THIRDS, module="two_thirds_f", two_thirds="two_thirds_f:strategy")
    with pytest.raises(TypeError, match=r"two_thirds_[ef]:strategy.*the name 'two_thirds' is taken"):
        registered()
