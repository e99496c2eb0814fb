import json

import pytest

from magi.cli.submit_request import parse_metadata, parse_voters, request_frame


def test_metadata_is_an_object() -> None:
    assert parse_metadata('{"model": "x"}') == {"model": "x"}
    for text in ("[]", "1", "{", ""):
        with pytest.raises(ValueError, match="JSON object"):
            parse_metadata(text)


def test_voters_are_names_between_commas() -> None:
    assert parse_voters("a, b,c") == ["a", "b", "c"]
    with pytest.raises(ValueError):
        parse_voters(" , ")


def test_what_is_not_given_is_left_to_the_gateway() -> None:
    assert json.loads(request_frame("r", "q", "a")) == {
        "type": "request",
        "request_id": "r",
        "user_query": "q",
        "agent_answer": "a",
    }


def test_what_is_given_is_sent() -> None:
    assert json.loads(request_frame("r", "q", "a", panel="code"))["panel"] == "code"
    frame = request_frame("r", "q", "a", voters=["v"], strategy="veto", decide="early", timeout_ms=5, metadata={"m": 1})
    sent = json.loads(frame)
    assert (sent["voter_list"], sent["strategy"], sent["decide"], sent["timeout_ms"], sent["metadata"]) == (
        ["v"],
        "veto",
        "early",
        5,
        {"m": 1},
    )
