"""What stands where a secret would."""

import pytest

from magi.voters.builtin.safety.placeholders import entropy, is_placeholder


@pytest.mark.parametrize(
    "value",
    [
        "YOUR_API_KEY",
        "xxxxxxxxxxxx",
        "<token>",
        "changeme",
        "${TOKEN}",
        "abcdefghij",
        "aaaaaaaaaa",
        "{{ x }}",
        "********",
    ],
)
def test_examples_are_seen_as_such(value: str):
    assert is_placeholder(value)


@pytest.mark.parametrize("value", ["vX7#qLm2pR9z", "q8Zt4VbN2xKe7Wm1", "Tr0ub4dor%263xQ"])
def test_secrets_are_not(value: str):
    assert not is_placeholder(value)


def test_entropy_is_in_bits_a_character():
    assert entropy("") == 0
    assert entropy("aaaa") == 0
    assert entropy("abcd") == 2
