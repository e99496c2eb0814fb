"""What is told of a message that can't be applied: all of it but what was submitted."""

import msgspec
import pytest

from magi.projections.runner import without_content

RECEIVED = '{"type":"received","request_id":"r","content":{"user_query":"secret"}}'
VOTE = '{"type":"voter_result","vote":"pass"}'


@pytest.mark.parametrize("text", [RECEIVED, f"[{RECEIVED}]", f"[{VOTE}, {RECEIVED}, {RECEIVED}]"])
def test_what_was_submitted_is_not_told(text: str) -> None:
    told = without_content(text.encode())
    assert "secret" not in told
    assert msgspec.json.decode(told) == msgspec.json.decode(text.replace('{"user_query":"secret"}', '"not kept here"'))


@pytest.mark.parametrize(
    "text", ["secret", '"secret"', f"[{RECEIVED}", f"[[{RECEIVED}]]", f'["secret", {RECEIVED}]', ""]
)
def test_of_what_holds_no_events_only_the_length_is_told(text: str) -> None:
    assert without_content(text.encode()) == f"{len(text)} bytes that hold no JSON objects"
