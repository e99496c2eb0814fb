"""Text that is no message, or one that two parsers would read differently."""

import json

import pytest

from tests.gateway.client import request
from tests.gateway.hostile.target import Target

RID = "abc123"


def raw(member: str) -> str:
    """A request with one more member, as text."""
    return json.dumps(request(RID))[:-1] + "," + member + "}"


def member(name: str, value: str) -> str:
    """A request one of whose members has a value that is written as given."""
    rest = json.dumps({k: v for k, v in request(RID).items() if k != name})
    return rest[:-1] + f',"{name}":{value}' + "}"


NOT_JSON = {
    "nothing": "",
    "blanks": " \n\t ",
    "a byte order mark": "\ufeff" + json.dumps(request()),
    "NaN": raw('"metadata":{"a":NaN}'),
    "Infinity": raw('"metadata":{"a":-Infinity}'),
    "a NUL as it is": member("user_query", '"a\0b"'),
    "a NUL behind the object": json.dumps(request()) + "\0",
    "a lone high surrogate": member("user_query", '"\\ud800"'),
    "a lone low surrogate": member("agent_answer", '"\\udc00 x"'),
    "surrogates in the wrong order": member("user_query", '"\\udc00\\ud800"'),
    "a lone surrogate in a key": raw('"metadata":{"\\udfff":1}'),
    "half an escape": member("user_query", '"\\u12"'),
    "a line end in a string": member("user_query", '"a\nb"'),
    "a comment": json.dumps(request()) + "// x",
    "two objects": json.dumps(request()) * 2,
    "half an object": json.dumps(request())[:-1],
    "single quotes": str(request()),
    "null": "null",
    "a number": "1",
    "an array of messages": json.dumps([request()]),
    "33 levels": raw('"metadata":' + '{"a":' * 32 + "1" + "}" * 32),
    "100,000 levels": "[" * 100_000 + "]" * 100_000,
    "120,000 levels that never end": '{"type":"request","metadata":' + "[" * 120_000,
}

TWICE = {
    "the answer": raw('"agent_answer":"another"'),
    "the type": '{"type":"ping","type":"get_voters"}',
    "the request_id": raw('"request_id":"other"'),
    "a key written in two ways": raw('"\\u0061gent_answer":"another"'),
    "a key of the metadata": raw('"metadata":{"model":"a","model":"b"}'),
    "a key deep in the metadata": raw('"metadata":{"a":[{"b":{"c":1,"c":2}}]}'),
    "a parameter of the strategy": raw('"strategy":{"name":"threshold","k":1,"k":3}'),
    "an unknown field": raw('"x":1,"x":2'),
    "with colons and quotes elsewhere": raw('"x\\\\":"\\":\\"a\\":1","x\\\\":"{:}"'),
    "beside a number larger than any": raw('"x":1e400,"y":' + "9" * 5000 + ',"x":2'),
    "the same again": raw('"user_query":"Please generate some code for me"'),
}

NO_MESSAGE = {
    "no type": ('{"request_id":"abc123"}', "type: missing"),
    "a type that is an array": ('{"type":["request"]}', "type: expected a string"),
    "an array for the question": (member("user_query", '["x"]'), "user_query: "),
    "an object for the answer": (member("agent_answer", '{"text":"x"}'), "agent_answer: "),
    "null for the answer": (member("agent_answer", "null"), "agent_answer: "),
    "a number for the request_id": (member("request_id", "5"), "request_id: "),
    "an object for the voters": (raw('"voter_list":{"0":"voter_1"}'), "voter_list: "),
    "an array for the metadata": (raw('"metadata":[["a",1]]'), "metadata: "),
    "an array for the strategy": (raw('"strategy":["unanimous"]'), "strategy: "),
    "an array in an array of voters": (raw('"voter_list":[["voter_1"]]'), "voter_list[0]: "),
    "a number larger than any": (raw('"metadata":{"a":1e400}'), "metadata"),
    "an integer of 5,000 digits": (raw('"timeout_ms":' + "9" * 5000), "timeout_ms: "),
    "a time below zero": (raw('"timeout_ms":-1'), "timeout_ms: "),
    "a fraction of a time": (raw('"timeout_ms":1e-5'), "timeout_ms: "),
    "a boolean for a time": (raw('"timeout_ms":true'), "timeout_ms: "),
    "a NUL as an escape": (member("agent_answer", '"\\u0000"'), "agent_answer: expected no NUL"),
    "a NUL in a key": (raw('"metadata":{"\\u0000":1}'), "metadata: expected no NUL"),
    "a position below zero": ('{"type":"resume","request_id":"abc123","after_seq":-1}', "after_seq: "),
    "a position larger than any": ('{"type":"resume","request_id":"abc123","after_seq":1e300}', "after_seq: "),
    "65 voters": (raw('"voter_list":' + json.dumps(["voter_1"] * 65)), "voter_list: "),
}


@pytest.mark.parametrize("frame", NOT_JSON.values(), ids=NOT_JSON)
async def test_what_is_no_json_object_is_invalid_json(target: Target, frame: str) -> None:
    async with target.client() as client:
        assert (await client.ask(frame))["code"] == "invalid_json"
        assert await client.silent()


@pytest.mark.parametrize("frame", TWICE.values(), ids=TWICE)
async def test_a_key_that_is_there_twice_is_invalid_json(target: Target, frame: str) -> None:
    """Parsers differ in which of the two counts: what is judged could be something else than what is shown."""
    async with target.client() as client:
        answer = await client.ask(frame)
        assert answer["code"] == "invalid_json"
        assert "is there twice" in answer["message"]
        assert await client.silent()


@pytest.mark.parametrize(("frame", "message"), NO_MESSAGE.values(), ids=NO_MESSAGE)
async def test_what_is_no_message_is_refused_by_the_field(target: Target, frame: str, message: str) -> None:
    async with target.client() as client:
        answer = await client.ask(frame)
        assert answer["code"] == "invalid_message"
        assert answer["message"].startswith(message)
        assert len(answer["message"]) <= 300
        assert await client.silent()


@pytest.mark.parametrize("kind", ["voter_result", "final_result", "task", "__class__", "REQUEST", "x" * 200_000])
async def test_a_type_of_nobody_or_of_the_server_is_unsupported(target: Target, kind: str) -> None:
    async with target.client() as client:
        answer = await client.ask({**request(RID), "type": kind, "voter_id": "voter_1", "vote": "pass"})
        assert (answer["code"], answer["request_id"]) == ("unsupported_type", RID)
        assert await client.silent()


@pytest.mark.parametrize("value", ["1e308", "-0", "9" * 300, "0.1e-400"], ids=lambda value: value[:8])
async def test_numbers_that_there_are_pass_in_metadata(target: Target, value: str) -> None:
    target.accepted.add(RID)
    async with target.client() as client:
        await client.send(raw(f'"metadata":{{"a":{value}}}'))
        assert (await client.until_type("final_result"))[-1]["final_vote"] == "pass"
