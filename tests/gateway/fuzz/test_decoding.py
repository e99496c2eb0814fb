"""Any text: it is a message or it has an error of the protocol, and no parser would read it as something else."""

import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magi.domain.messages import Submission, encode
from magi.gateway import wire
from magi.gateway.settings import Limits
from magi.gateway.voters import wire as voters_wire
from tests.gateway.fuzz.budget import again_and_again
from tests.gateway.fuzz.texts import texts, valid_requests

LIMITS = Limits()
CODES = {"invalid_json", "invalid_message", "unsupported_type", "too_large"}
quick = settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))


class Twice(Exception):
    """An object holds a key twice."""


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in members}) < len(members):
        raise Twice
    return dict(members)


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@quick
@given(texts)
def _is_understood_or_refused(text: str) -> None:
    incoming = wire.decode(text, LIMITS)
    assert (incoming.message is None) == (incoming.error is not None)
    if incoming.error:
        assert incoming.error.code in CODES
        assert len(wire.error(incoming.error, incoming.request_id)) < 3_000
    if isinstance(incoming.message, wire.Request):
        stored = msgspec.json.encode(wire.submission(incoming.message, "agent"))
        assert b"\\u0000" not in stored.replace(b"\\\\", b"")
        assert msgspec.json.decode(stored)


@quick
@given(texts)
def _means_the_same_to_another_parser(text: str) -> None:
    incoming = wire.decode(text, LIMITS)
    if incoming.message is None:
        return
    read = json.loads(text, object_pairs_hook=_once, parse_int=str)  # raises Twice
    assert isinstance(read, dict)
    assert depth(read) <= 32
    assert type(incoming.message).__struct_config__.tag == read["type"]
    if isinstance(incoming.message, wire.Request):
        for field in ("request_id", "user_query", "agent_answer"):
            assert getattr(incoming.message, field) == read[field]


@quick
@given(texts)
def _a_key_is_said_to_be_there_twice_only_if_it_is(text: str) -> None:
    error = wire.decode(text, LIMITS).error
    if error and "is there twice" in error.message:
        try:
            json.loads(text, object_pairs_hook=_once, parse_int=str)
        except Twice:
            return
        raise AssertionError(error.message)


@quick
@given(texts)
def _is_understood_or_refused_when_it_comes_from_a_voter(text: str) -> None:
    incoming = voters_wire.decode(text)
    assert (incoming.message is None) == (incoming.error is not None)
    if incoming.error:
        assert incoming.error.code in CODES


@quick
@given(valid_requests, st.booleans())
def _what_is_valid_arrives_as_it_was_sent(sent: dict[str, Any], ascii_only: bool) -> None:
    incoming = wire.decode(json.dumps(sent, ensure_ascii=ascii_only), LIMITS)
    assert incoming.error is None
    assert isinstance(incoming.message, wire.Request)
    stored = msgspec.json.decode(encode(wire.submission(incoming.message, "agent")), type=Submission)
    for field in sent.keys() - {"type"}:
        assert getattr(stored, field) == sent[field]


def test_any_text_is_understood_or_refused() -> None:
    again_and_again(_is_understood_or_refused)


def test_any_text_means_the_same_to_another_parser() -> None:
    again_and_again(_means_the_same_to_another_parser)


def test_a_key_is_said_to_be_there_twice_only_if_it_is() -> None:
    again_and_again(_a_key_is_said_to_be_there_twice_only_if_it_is)


def test_any_text_of_a_voter_is_understood_or_refused() -> None:
    again_and_again(_is_understood_or_refused_when_it_comes_from_a_voter)


def test_what_is_valid_arrives_as_it_was_sent() -> None:
    again_and_again(_what_is_valid_arrives_as_it_was_sent)
