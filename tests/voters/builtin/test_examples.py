"""The examples of the demo come out as they say, by the three voters and the strategy that each names."""

import pytest

from magi.cli.examples import Example, examples_folder, load_examples
from magi.domain.messages import Vote
from magi.domain.strategies import choose
from magi.voters.builtin import BUILTIN
from tests.voters.builtin.table import task

EXAMPLES = load_examples(examples_folder())


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.request_id for example in EXAMPLES])
def test_an_example_comes_out_as_it_expects(example: Example):
    panel = example.voter_list or tuple(BUILTIN)
    votes: dict[str, Vote] = {
        voter: BUILTIN[voter].load()(task(example.user_query, example.agent_answer)).vote for voter in panel
    }
    assert choose(example.strategy, panel).decide(panel, votes).final_vote == example.expect, votes


def test_every_kind_of_verdict_is_shown():
    assert len(EXAMPLES) >= 14
    assert {example.expect for example in EXAMPLES} == {"pass", "fail"}
    assert any(example.strategy == "minority_rule" for example in EXAMPLES)
    assert any(example.strategy != "minority_rule" for example in EXAMPLES)
    assert len({example.request_id for example in EXAMPLES}) == len(EXAMPLES)


def test_no_example_holds_a_key_that_a_code_host_would_take_for_a_leak():
    for file in examples_folder().glob("*.toml"):
        text = file.read_text("utf-8")
        assert "AKIA" not in text
        assert "PRIVATE KEY-----" not in text.replace("\\u0050RIVATE KEY", "")
