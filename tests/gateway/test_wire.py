"""The messages alone: what is wrong with a frame is said by its field, and nothing that a client sends raises."""

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magi.gateway import wire
from magi.gateway.settings import Limits
from magi.gateway.wire import Incoming
from tests.gateway.client import request

LIMITS = Limits()
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def decode(frame: object) -> Incoming:
    return wire.decode(frame if isinstance(frame, str) else json.dumps(frame), LIMITS)


def refusal(frame: object) -> tuple[str, str]:
    """The code and the message of what is wrong with a frame."""
    incoming = decode(frame)
    assert incoming.message is None
    assert incoming.error is not None
    return incoming.error.code, incoming.error.message


def accepted(frame: object) -> wire.ClientMessage:
    incoming = decode(frame)
    assert incoming.error is None, incoming.error.message
    assert incoming.message is not None
    return incoming.message


def nested(depth: int) -> str:
    """A ping with something `depth` deep, itself included."""
    return '{"type":"ping","x":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


def raw(member: str) -> str:
    """A request with one more member, as text."""
    return json.dumps(request())[:-1] + "," + member + "}"


class TestWhatIsUnderstood:
    def test_a_request_needs_four_fields(self) -> None:
        message = accepted(request("abc123"))
        assert isinstance(message, wire.Request)
        assert (message.request_id, message.strategy, message.decide, message.timeout_ms, message.metadata) == (
            "abc123",
            "minority_rule",
            "all",
            30_000,
            {},
        )

    def test_resume_begins_at_the_first_event_by_default(self) -> None:
        assert accepted({"type": "resume", "request_id": "abc123"}) == wire.Resume("abc123", 0)

    def test_unknown_fields_are_ignored(self) -> None:
        assert accepted({"type": "ping", "colour": {"deep": [1]}}) == wire.Ping()
        assert accepted(request(colour="blue")) == accepted(request())

    def test_strategies_are_named_or_objects(self) -> None:
        for strategy in ("unanimous", {"name": "threshold", "k": 2}):
            message = accepted(request(strategy=strategy))
            assert isinstance(message, wire.Request)
            assert message.strategy == strategy

    def test_nothing_of_the_content_is_changed(self) -> None:
        text = "\t\r\n\x01\x7f\u2028\U0001f600 \\u0041 \"quoted\" {[<&>]} 'ü'"
        message = accepted(request(user_query=text, agent_answer=text, metadata={text: text}))
        assert isinstance(message, wire.Request)
        submitted = wire.submission(message, "agent")
        assert (submitted.user_query, submitted.agent_answer, submitted.metadata) == (text, text, {text: text})

    @pytest.mark.parametrize("request_id", ["a", "x" * 128, "\U0001f600" * 128, "*", ">", "a.b c", "$JS.API", "ünï"])
    def test_a_request_id_may_hold_anything_that_can_be_seen(self, request_id: str) -> None:
        assert decode(request(request_id)).request_id == request_id

    @pytest.mark.parametrize(
        ("given", "kept"),
        [(TRACEPARENT, TRACEPARENT), ("ff-" + TRACEPARENT[3:], ""), ("x", ""), (5, ""), (TRACEPARENT + "\n", "")],
    )
    def test_a_traceparent_that_is_not_valid_is_left_out(self, given: Any, kept: str) -> None:
        message = accepted(request(traceparent=given))
        assert isinstance(message, wire.Request)
        assert wire.submission(message, "agent").trace == kept


class TestWhatIsNotJson:
    @pytest.mark.parametrize(
        "frame",
        [
            "",
            " ",
            "{",
            "}",
            "nonsense",
            "[]",
            "null",
            "true",
            "5",
            '"text"',
            '[{"type":"ping"}]',
            '{"type":"ping"} {"type":"ping"}',
            '{"type":"ping",}',
            '{"type":"ping","x":}',
            "{'type':'ping'}",
            '\ufeff{"type":"ping"}',
            '{"type":"ping","x":NaN}',
            '{"type":"ping","x":Infinity}',
            '{"type":"ping","x":-Infinity}',
            '{"type":"ping","x":01}',
            '{"type":"ping","x":"\\q"}',
            '{"type":"ping","x":"\\ud800"}',
            '{"type":"ping","x":"\\udc00\\ud800"}',
            '{"type":"ping","x":"a\nb"}',
            raw('"metadata":{"a":"\\ud800"}'),
            raw('"metadata":{"\\udfff":1}'),
            '{"type":"ping","x":"\x00"}',
        ],
    )
    def test_it_is_invalid_json(self, frame: str) -> None:
        assert refusal(frame)[0] == "invalid_json"

    def test_thirty_two_levels_are_allowed(self) -> None:
        assert accepted(nested(32)) == wire.Ping()

    @pytest.mark.parametrize("depth", [33, 100, 5_000, 100_000])
    def test_more_are_not(self, depth: int) -> None:
        assert refusal(nested(depth)) == ("invalid_json", "nested deeper than 32")

    def test_brackets_in_strings_do_not_count(self) -> None:
        text = '\\"[{' * 100 + "\\"
        assert accepted({"type": "ping", text: [text, {"x": text}]}) == wire.Ping()

    @pytest.mark.parametrize(
        "frame",
        [
            "[" * 33 + '\\"' * 130_000,
            "[" * 33 + '"\\' * 130_000,
            '{"type":"ping","x":"' + "[" * 33 + '\\"' * 130_000,
            '{"type":"ping","x":' + '{"":' * 30_000,
            nested(130_000),
            json.dumps(request(agent_answer='[\\"{' * 60_000)),
            json.dumps(request(agent_answer="\\\n" * 60_000 + "[" * 40)),
        ],
        ids=range(7),
    )
    def test_no_frame_takes_long(self, frame: str) -> None:
        """The search for the depth once took time in the square of a frame's length: minutes, for everybody."""
        began = time.process_time()
        decode(frame)
        assert time.process_time() - began < 0.5


class TestWhatIsNotAMessage:
    @pytest.mark.parametrize(
        ("frame", "message"),
        [
            ({}, "type: missing"),
            ({"type": None}, "type: missing"),
            ({"type": 5}, "type: expected a string"),
            ({"type": ["ping"]}, "type: expected a string"),
            ({"type": "request"}, "request_id: missing"),
            ({"type": "request", "request_id": "a"}, "user_query: missing"),
            ({"type": "request", "request_id": "a", "user_query": ""}, "agent_answer: missing"),
            ({"type": "resume"}, "request_id: missing"),
            ({"type": "authenticate"}, "token: missing"),
            ({"type": "authenticate", "token": 5}, "token: expected `str`, got `int`"),
            (request(user_query=None), "user_query: expected `str`, got `null`"),
            (request(agent_answer=["x"]), "agent_answer: expected `str`, got `array`"),
            (request(voter_list="voter_1"), "voter_list: expected `array`, got `str`"),
            (request(voter_list=["voter_1", 5]), "voter_list[1]: expected `str`, got `int`"),
            (request(voter_list=["v"] * 65), "voter_list: expected at most 64 voters, got 65"),
            (request(strategy=5), "strategy: expected `str | object`, got `int`"),
            (request(decide="later"), "decide: invalid enum value 'later'"),
            (request(timeout_ms="1000"), "timeout_ms: expected `int`, got `str`"),
            (request(timeout_ms=1000.5), "timeout_ms: expected `int`, got `float`"),
            (request(timeout_ms=True), "timeout_ms: expected `int`, got `bool`"),
            (request(timeout_ms=99), "timeout_ms: expected 100 to 86400000, got 99"),
            (request(timeout_ms=86_400_001), "timeout_ms: expected 100 to 86400000, got 86400001"),
            (request(timeout_ms=-(10**30)), f"timeout_ms: expected 100 to 86400000, got {-(10**30)}"),
            (request(metadata=[]), "metadata: expected `object`, got `array`"),
            (raw('"metadata":{"a":1e999}'), "metadata[...]: number out of range"),
            (request(user_query="a\0b"), "user_query: expected no NUL"),
            (request(agent_answer="\0"), "agent_answer: expected no NUL"),
            (request(voter_list=["a", "\0"]), "voter_list[1]: expected no NUL"),
            (request(metadata={"a": {"b": [1, "\0"]}}), "metadata.a.b[1]: expected no NUL"),
            (request(metadata={"\0": 1}), "metadata: expected no NUL"),
            (request(strategy={"name": "\0"}), "strategy.name: expected no NUL"),
            (request(strategy="\0"), "strategy: expected no NUL"),
            (request(""), "request_id: expected 1 to 128 characters, got 0"),
            (request("x" * 129), "request_id: expected 1 to 128 characters, got 129"),
            (request("a\nb"), "request_id: expected no control characters"),
            (request("a\r\nPUB x 0"), "request_id: expected no control characters"),
            (request("a\x7f"), "request_id: expected no control characters"),
            (request("a\x9b"), "request_id: expected no control characters"),
            ({"type": "resume", "request_id": 5}, "request_id: expected `str`, got `int`"),
            ({"type": "resume", "request_id": "a", "after_seq": -1}, "after_seq: expected 0 or more"),
            ({"type": "resume", "request_id": "a", "after_seq": 2**53}, "after_seq: expected 0 or more"),
            ({"type": "resume", "request_id": "a", "after_seq": "3"}, "after_seq: expected `int`, got `str`"),
        ],
    )
    def test_the_message_names_the_field(self, frame: object, message: str) -> None:
        assert refusal(frame) == ("invalid_message", message)

    @pytest.mark.parametrize("timeout", [100, 86_400_000])
    def test_the_limits_themselves_are_allowed(self, timeout: int) -> None:
        voters = [f"voter_{n}" for n in range(64)]
        message = accepted(request("x" * 128, timeout_ms=timeout, voter_list=voters))
        assert isinstance(message, wire.Request)

    def test_metadata_may_hold_four_kibibytes(self) -> None:
        text = "x" * (4096 - len('{"a":""}'))
        accepted(request(metadata={"a": text}))
        assert refusal(request(metadata={"a": text + "x"})) == ("too_large", "metadata: expected at most 4096 bytes")

    def test_a_backslash_before_what_looks_like_an_escape_is_no_nul(self) -> None:
        accepted(request(user_query="\\u0000"))

    @pytest.mark.parametrize("kind", ["Ping", "task", "", "x" * 1000, "ping\0", "\u202e"])
    def test_another_type_is_unsupported(self, kind: str) -> None:
        code, message = refusal({"type": kind})
        assert code == "unsupported_type"
        assert len(message) < 200


class TestErrors:
    def test_an_error_names_the_request_that_it_is_about(self) -> None:
        assert decode(request("abc123", timeout_ms=1)).request_id == "abc123"
        assert decode({"type": "nonsense", "request_id": "abc123"}).request_id == "abc123"

    @pytest.mark.parametrize("request_id", ["", "x" * 129, "a\n", 5, None, ["a"], {"a": 1}])
    def test_but_not_by_a_name_that_cannot_be_one(self, request_id: object) -> None:
        assert decode({"type": "request", "request_id": request_id}).request_id is None

    @pytest.mark.parametrize(
        "frame", [request(decide="x" * 100_000), request(metadata={"k" * 100_000: "\0"}), request(timeout_ms=10**4000)]
    )
    def test_an_error_does_not_send_back_what_was_sent(self, frame: object) -> None:
        incoming = decode(frame)
        assert incoming.error is not None
        assert len(wire.error(incoming.error, None)) < 500


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(
    [*request(), "voter_list", "strategy", "decide", "timeout_ms", "metadata", "after_seq", "token"]
)
types = st.sampled_from(["request", "resume", "authenticate", "get_voters", "ping"])
objects = st.builds(
    lambda kind, rest: json.dumps({**request(), **rest, "type": kind}),
    types,
    st.dictionaries(fields, json_values, max_size=5),
)


def mutated(text: str, cuts: list[tuple[int, int, str]]) -> str:
    for start, length, insert in cuts:
        at = start % (len(text) + 1)
        text = text[:at] + insert + text[at + length :]
    return text


edits = st.tuples(st.integers(0, 500), st.integers(0, 5), st.text(max_size=3) | st.sampled_from(list('"\\{}[]:,0e-.')))


class TestAnyText:
    @settings(max_examples=500, deadline=None)
    @given(st.text() | objects | st.builds(mutated, objects, st.lists(edits, max_size=4)))
    def test_nothing_raises_and_every_answer_can_be_encoded(self, text: str) -> None:
        incoming = wire.decode(text, LIMITS)
        assert (incoming.message is None) == (incoming.error is not None)
        if incoming.error:
            shown = msgspec.json.decode(wire.error(incoming.error, incoming.request_id))
            assert shown["code"] in {"invalid_json", "invalid_message", "unsupported_type", "too_large"}
        if isinstance(incoming.message, wire.Request):
            wire.submission(incoming.message, "agent")

    @settings(max_examples=500, deadline=None)
    @given(objects, st.lists(edits, min_size=1, max_size=3))
    def test_only_an_object_is_ever_accepted(self, text: str, cuts: list[tuple[int, int, str]]) -> None:
        frame = mutated(text, cuts)
        if wire.decode(frame, LIMITS).message is not None:
            assert isinstance(json.loads(frame), dict)

    @pytest.mark.parametrize("digits", [20, 400, 5_000, 200_000])
    @pytest.mark.parametrize("member", ['"timeout_ms":%s', '"metadata":{"a":%s}', '"strategy":{"k":%s}', '"x":%s'])
    def test_integers_of_any_length_are_survived(self, member: str, digits: int) -> None:
        incoming = decode(raw(member % ("9" * digits)))
        if incoming.error:
            assert incoming.error.code in ("invalid_json", "invalid_message", "too_large")
