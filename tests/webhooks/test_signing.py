"""Signatures after Standard Webhooks, checked against the standard's own library."""

import datetime
import time

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from magi.webhooks.signing import (
    ID,
    SIGNATURE,
    TIMESTAMP,
    TOLERANCE,
    BadSecret,
    BadSignature,
    Secret,
    new_secret,
    signed_headers,
    verify,
)

TEXT = new_secret(b"a" * 24)
SECRET = Secret(TEXT)
OTHER = Secret(new_secret(b"b" * 64))
NOW = 1_800_000_000
BODY = b'{"vote":"pass"}'


def flaw(headers: dict[str, str], body: bytes = BODY, now: float = NOW, secret: Secret = SECRET) -> str:
    with pytest.raises(BadSignature) as refused:
        verify([secret], headers, body, now)
    return refused.value.flaw


@given(st.binary(min_size=24, max_size=64), st.text(alphabet="abc:_-", min_size=1), st.text())
def test_the_standards_library_takes_our_signatures_and_we_take_its(key: bytes, message_id: str, text: str) -> None:
    written, body, now = new_secret(key), text.encode(), int(time.time())
    theirs = standardwebhooks.Webhook(written)
    theirs.verify(body, signed_headers([Secret(written)], message_id, now, body), json_parse=False)
    signature = theirs.sign(message_id, datetime.datetime.fromtimestamp(now, datetime.UTC), text)
    headers = {ID: message_id, TIMESTAMP: str(now), SIGNATURE: signature}
    assert verify([Secret(written)], headers, body, now).message_id == message_id


def test_any_of_several_signatures_and_any_of_several_secrets_is_enough() -> None:
    both = signed_headers([OTHER, SECRET], "m", NOW, BODY)
    assert both[SIGNATURE].count("v1,") == 2
    verify([SECRET], both, BODY, NOW)
    verify([OTHER], both, BODY, NOW)
    verify([OTHER, SECRET], signed_headers([SECRET], "m", NOW, BODY), BODY, NOW)


def test_signatures_of_other_versions_are_passed_over() -> None:
    headers = signed_headers([SECRET], "m", NOW, BODY)
    verify([SECRET], {**headers, SIGNATURE: "v1a,xyz garbage " + headers[SIGNATURE]}, BODY, NOW)
    assert flaw({**headers, SIGNATURE: headers[SIGNATURE].replace("v1,", "v2,")}) == "forged"


def test_nothing_of_what_is_signed_can_be_changed() -> None:
    headers = signed_headers([SECRET], "m", NOW, BODY)
    assert flaw(headers, body=BODY + b" ") == "forged"
    assert flaw({**headers, ID: "n"}) == "forged"
    assert flaw({**headers, TIMESTAMP: str(NOW + 1)}) == "forged"
    assert flaw(headers, secret=OTHER) == "forged"


def test_a_signature_is_good_for_five_minutes_before_and_after() -> None:
    headers = signed_headers([SECRET], "m", NOW, BODY)
    verify([SECRET], headers, BODY, NOW + TOLERANCE)
    verify([SECRET], headers, BODY, NOW - TOLERANCE)
    assert flaw(headers, now=NOW + TOLERANCE + 1) == "old"
    assert flaw(headers, now=NOW - TOLERANCE - 1) == "early"


@pytest.mark.parametrize("name", [ID, TIMESTAMP, SIGNATURE])
def test_each_header_is_needed(name: str) -> None:
    headers = signed_headers([SECRET], "m", NOW, BODY)
    assert flaw({**headers, name: ""}) == "missing"
    del headers[name]
    assert flaw(headers) == "missing"


@pytest.mark.parametrize("value", ["-1", "1.5", "now", "²", "9" * 13, "0x10", " 1"])
def test_a_timestamp_is_digits(value: str) -> None:
    assert flaw({**signed_headers([SECRET], "m", NOW, BODY), TIMESTAMP: value}) == "malformed"


@pytest.mark.parametrize("value", ["a.b", "ä", "x" * 257])
def test_an_id_has_no_dot_and_is_short_ascii(value: str) -> None:
    assert flaw({**signed_headers([SECRET], "m", NOW, BODY), ID: value}) == "malformed"


def test_we_dont_sign_an_id_with_a_dot() -> None:
    with pytest.raises(ValueError, match="dot"):
        signed_headers([SECRET], "a.b", NOW, BODY)


@pytest.mark.parametrize("value", ["v1,ä", "\udcff", "v1," + "A" * 10_000, ","])
def test_odd_signatures_are_forged_ones(value: str) -> None:
    assert flaw({**signed_headers([SECRET], "m", NOW, BODY), SIGNATURE: value}) == "forged"


@pytest.mark.parametrize("size", [0, 23, 65])
def test_a_secret_has_24_to_64_bytes(size: int) -> None:
    with pytest.raises(BadSecret, match="24 to 64"):
        new_secret(bytes(size))


@pytest.mark.parametrize("text", ["", "hunter2", TEXT.removeprefix("whsec_"), "whsec_%%%", TEXT + "!", "whsec_äöü"])
def test_what_is_no_secret_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(BadSecret) as refused:
        Secret(text)
    assert not text or text.removeprefix("whsec_") not in str(refused.value)


def test_a_secret_doesnt_show_itself() -> None:
    assert TEXT.removeprefix("whsec_") not in repr(SECRET)
    assert str(SECRET) == "Secret(…)"
