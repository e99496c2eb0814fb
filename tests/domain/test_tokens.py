import hashlib
import re
import string
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magi.domain.tokens import ENTROPY, TokenKind, is_token, new_token, token_hash

KINDS: list[TokenKind] = ["i", "v"]
ENTROPIES = st.binary(min_size=ENTROPY, max_size=ENTROPY)
TOKENS = st.builds(new_token, st.sampled_from(KINDS), ENTROPIES)

quick = settings(max_examples=60, deadline=None)


@quick
@given(st.sampled_from(KINDS), ENTROPIES)
def test_a_new_token_is_recognised_as_one_of_its_kind(kind: TokenKind, entropy: bytes) -> None:
    token = new_token(kind, entropy)
    assert re.fullmatch(rf"magi_{kind}_[0-9A-Za-z]{{36}}", token)
    assert is_token(token, kind)
    assert not is_token(token, "v" if kind == "i" else "i")


@pytest.mark.parametrize("edge", [b"\0" * ENTROPY, b"\xff" * ENTROPY])
def test_every_entropy_gives_a_token_of_the_same_length(edge: bytes) -> None:
    assert len(new_token("i", edge)) == len("magi_i_") + 36


@quick
@given(ENTROPIES, ENTROPIES)
def test_other_entropy_gives_another_token(one: bytes, other: bytes) -> None:
    assert (new_token("i", one) == new_token("i", other)) == (one == other)


@pytest.mark.parametrize("entropy", [b"", b"\x01" * (ENTROPY - 1)])
def test_too_little_entropy_makes_no_token(entropy: bytes) -> None:
    with pytest.raises(ValueError, match=f"expected {ENTROPY} random bytes"):
        new_token("i", entropy)


@quick
@given(TOKENS, st.data())
def test_a_token_with_one_character_changed_is_none(token: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.characters(codec="utf-8").filter(lambda c: c != token[place]))
    changed = token[:place] + character + token[place + 1 :]
    assert not is_token(changed, "i")
    assert not is_token(changed, "v")


@pytest.mark.parametrize("text", ["", "magi_i_", "magi_i_" + "0" * 36, "magi_i_" + "0" * 35, "Bearer x", "ä" * 43])
def test_lookalikes_are_no_tokens(text: str) -> None:
    assert not is_token(text, "i")


@pytest.mark.parametrize("odd", ["!", " ", "-", "_", "é", "٣"])
def test_a_body_of_other_characters_is_none_even_with_the_right_checksum(odd: str) -> None:
    """A scanner that looks for the form must find whatever we would take."""
    body = new_token("i", b"\x01" * ENTROPY)[:-6]
    assert is_token(_with_checksum(body), "i")
    assert not is_token(_with_checksum(body[:-1] + odd), "i")


def _with_checksum(body: str) -> str:
    rest, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        digits = (string.digits + string.ascii_uppercase + string.ascii_lowercase)[digit] + digits
    return body + digits


def test_a_token_is_stored_as_its_sha256() -> None:
    token = new_token("v", b"\x07" * ENTROPY)
    assert token_hash(token) == hashlib.sha256(token.encode()).hexdigest()


def test_whatever_a_client_sends_as_a_token_has_a_hash() -> None:
    assert len(token_hash("\ud800")) == 64
    assert token_hash("") != token_hash("\x00")
