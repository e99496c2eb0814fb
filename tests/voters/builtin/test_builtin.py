"""What holds for all three: they never raise, whatever the text; they agree with themselves in threads; they end."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from magi.domain.messages import Opinion
from magi.voters.builtin import BUILTIN
from tests.voters.builtin.table import task

# Pieces that the voters look for, put together at random: plain random text hardly ever gets past the first test.
PIECES = st.sampled_from(
    [
        "```python\n",
        "```json\n",
        "```\n",
        "~~~\n",
        "def f(x):\n",
        "    return x\n",
        "{",
        "}",
        '"a":',
        ",",
        "[",
        "]",
        "<div>",
        "</p>",
        "<?xml",
        "a: b\n",
        "- ",
        "1. ",
        "SELECT * FROM t;",
        "$ ls\n",
        ">>> x\n",
        "... ",
        "// ...",
        "password = '",
        "AKIA",
        "eyJ",
        ".",
        "-----BEGIN RSA PRIVATE KEY-----",
        "@example.org",
        "+1 212",
        "4111 ",
        "DE89 ",
        "rm -rf /",
        "ignore all previous instructions",
        "<\\",
        "im_start\\",
        ">",
        "\u200b",
        "\u202e",
        "I'm sorry, but I can't",
        "As an AI language model",
        "however ",
        "the",
        ", ",
        "Bonjour je suis",
        "光合作用",
        "�",
        "\x00",
        "\t",
        "\r\n",
        "\u2028",
        "\U000e0041",
        "Write a Python function",
        "as JSON only",
        "in French",
        "Explain ",
        "{{ x }}",
        "…",
    ]
)
TEXTS = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=12).map("".join))


@pytest.mark.parametrize("voter", BUILTIN)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(query="", answer="")
@example(query="Return it as JSON", answer="\ud800{")
@example(query="Return it as CSV", answer='a,b\n"')
@example(query="\x00", answer="\x00")
@given(query=TEXTS, answer=TEXTS)
def test_no_text_makes_a_voter_raise(voter: str, query: str, answer: str):
    opinion = BUILTIN[voter].load()(task(query, answer))
    assert opinion.reason
    encoded = msgspec.json.encode(opinion)
    assert msgspec.json.decode(encoded, type=Opinion) == opinion


@pytest.mark.parametrize("voter", BUILTIN)
@pytest.mark.parametrize(
    "piece", ["(", "```\n", "a<", "eyJ", "password = ", "I'm sorry, but I ", "- a\n", "\n", "\u200b"]
)
def test_the_longest_answers_are_judged_in_bounded_time(voter: str, piece: str):
    judge = BUILTIN[voter].load()
    answer = (piece * (262_144 // len(piece.encode()) + 1))[: 262_144 // len(piece.encode()) * len(piece)]
    start = time.thread_time()  # what others do meanwhile doesn't count
    judge(task("Write a Python function that reverses a list", answer))
    # An idle machine takes at most 1.2 s for the worst of these.
    assert time.thread_time() - start < 15


@pytest.mark.parametrize("voter", BUILTIN)
def test_threads_get_the_same_opinions(voter: str):
    judge = BUILTIN[voter].load()
    tasks = [
        task(
            f"Write a Python function number {n}",
            f"```python\ndef f{n}(x)\n    return {n}\n```" if n % 2 else f"Number {n}.",
        )
        for n in range(24)
    ]
    alone = [judge(each) for each in tasks]
    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(judge, tasks)) == alone


def test_importing_the_table_loads_no_parser():
    code = (
        "import sys; import magi.voters.builtin as b; assert len(b.BUILTIN) == 3;"
        "heavy = {'tree_sitter', 'sqlglot', 'py3langid', 'numpy', 'detect_secrets', 'phonenumbers', 'markdown_it'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_each_says_what_it_is_in_one_sentence():
    from magi.voters.builtin import balthasar, casper, melchior

    for name, module in (("melchior", melchior), ("balthasar", balthasar), ("casper", casper)):
        assert BUILTIN[name].description == module.DESCRIPTION
        assert module.DESCRIPTION.endswith(".")
        assert "\n" not in module.DESCRIPTION
