"""Reading what a chat endpoint answers."""

import json
from typing import Any

import pytest

from magi.domain.messages import Opinion
from magi.voters.llm.completion import MAX_SAID, NotACompletion, read_completion, read_refusal
from tests.voters.llm.model import GOOD, completion


def read(answer: Any) -> Opinion:
    return read_completion(json.dumps(answer).encode())


@pytest.mark.parametrize("vote", ["pass", "fail", "abstain"])
def test_json_of_the_schema_is_an_opinion(vote: Any):
    assert read(completion({**GOOD, "vote": vote})) == Opinion(vote, "It has tests.", 0.75)


def test_blanks_around_it_and_whole_numbers_are_json_too():
    assert read(completion('\n{"vote": "fail", "reason": "", "confidence": 1}\n')) == Opinion("fail", "", 1.0)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("pass", "malformed"),
        ("The answer is good. My vote: pass", "malformed"),
        (f"Here is my verdict: {json.dumps(GOOD)}", "malformed"),
        (f"```json\n{json.dumps(GOOD)}\n```", "malformed"),
        (f"{json.dumps(GOOD)} I hope this helps", "trailing"),
        (f"{json.dumps(GOOD)}{json.dumps(GOOD)}", "trailing"),
        (f"<think>hm</think>{json.dumps(GOOD)}", "malformed"),
        (json.dumps(GOOD)[:-1], "truncated"),
        ([GOOD], "object"),
        ({"vote": GOOD}, "vote"),
        ({**GOOD, "vote": "approve"}, "approve"),
        ({**GOOD, "vote": "PASS"}, "PASS"),
        ({**GOOD, "vote": True}, "vote"),
        ({**GOOD, "vote": None}, "vote"),
        ({**GOOD, "confidence": 1.01}, "confidence"),
        ({**GOOD, "confidence": -0.01}, "confidence"),
        ({**GOOD, "confidence": "0.9"}, "confidence"),
        ({**GOOD, "confidence": None}, "confidence"),
        ('{"vote":"pass","reason":"r","confidence":NaN}', "malformed"),
        ({**GOOD, "reason": ["a"]}, "reason"),
        ({**GOOD, "verdict": "fail"}, "verdict"),
        ({"vote": "pass", "confidence": 0.5}, "reason"),
        ({"reason": "r", "vote": "pass"}, "confidence"),
        ('{"vote":"fail","reason":"r","confidence":1,"vote":"pass"}', "says vote twice"),
        ("", "empty"),
        (" \n", "empty"),
        ("[" * 10_000, "doesn't fit"),
        ({**GOOD, "reason": "x" * MAX_SAID}, f"at most {MAX_SAID} are read"),
    ],
)
def test_an_answer_that_does_not_fit_is_an_abstention_with_the_reason(content: Any, why: str):
    opinion = read(completion(content))
    assert opinion.vote == "abstain"
    assert why in (opinion.reason or "")
    assert opinion.confidence is None


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            completion(None, refusal="I can't help with that.\x1b[2J"),
            "the model refused: I can't help with that.\\x1b[2J",
        ),
        (completion(GOOD, refusal="But no."), "the model refused: But no."),
        (completion(GOOD, refusal=True), "the model refused"),
        (completion(GOOD, "length"), "the model's answer was cut off at its limit of tokens"),
        (completion(GOOD, "content_filter"), "the model's answer was held back by the server's content filter"),
        (completion(None, "tool_calls", tool_calls=[{"id": "1"}]), "the model called a tool instead of answering"),
        (completion(GOOD, tool_calls=[{"id": "1"}]), "the model called a tool instead of answering"),
        (completion(GOOD, "tool_calls"), "the model called a tool instead of answering"),
        (completion(GOOD, function_call={"name": "f"}), "the model called a tool instead of answering"),
        (completion(GOOD, None), "the model's answer did not end by itself: finish_reason None"),
        (completion(GOOD, "\x1b"), "the model's answer did not end by itself: finish_reason \\x1b"),
        (completion(None), "the model's answer is empty"),
        ({"choices": []}, "the model gave no answer"),
        ({"choices": completion()["choices"] * 2}, "the model gave 2 answers instead of one"),
    ],
)
def test_whatever_else_a_model_does_is_an_abstention_with_the_reason(answer: Any, why: str):
    assert read(answer) == Opinion.abstains(why)


def test_content_that_is_no_text_is_no_answer():
    answer = completion()
    answer["choices"][0]["message"]["content"] = [{"type": "text", "text": json.dumps(GOOD)}]
    assert read(answer) == Opinion.abstains("the model's answer is empty")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html><body>Welcome</body></html>", "no chat completion"),
        (b"", "no chat completion"),
        (b"\xff\xfe", "no chat completion"),
        (b"[" * 100_000, "no chat completion"),
        (b"{}", "it has no choices"),
        (b'{"choices": null}', "it has no choices"),
        (b'{"choices": [{}]}', "message"),
        (b'{"choices": "pass"}', "choices"),
        (json.dumps(GOOD).encode(), "it has no choices"),
        (b'{"error": {"message": "no credit\\u001b", "code": 402}}', "an error: no credit\\x1b"),
        (b'{"error": "overloaded", "choices": []}', "an error: overloaded"),
        (b'{"error": {}}', "an error: none named"),
        (b'{"error": {"message": null}}', "an error: none named"),
        (b'{"error": "bad key sk-12345"}', "an error: bad key ***"),
    ],
)
def test_what_is_no_completion_is_no_opinion_either(body: bytes, why: str):
    with pytest.raises(NotACompletion) as caught:
        read_completion(body, "sk-12345")
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"error": {"message": "no such model\\u001b[2J", "code": 4}}', "no such model\\x1b[2J"),
        (b'{"error": "model \'x\' not found"}', "model 'x' not found"),
        (b'{"object": "error", "message": "too many tokens", "code": 400}', "too many tokens"),
        (b'{"error": {"message": "you sent sk-12345"}}', "you sent ***"),
        (b'{"error": {"message": "' + b"x" * 290 + b'sk-12345"}}', "x" * 290 + "***"),
        (b'{"detail": "Not Found"}', ""),
        (b"<html>", ""),
        (b'{"error": 7}', ""),
        (b"", ""),
    ],
)
def test_why_a_server_declines_is_told_when_it_says_so_in_json(body: bytes, told: str):
    assert read_refusal(body, "sk-12345") == told
