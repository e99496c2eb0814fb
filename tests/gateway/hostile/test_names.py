"""Names and words with a meaning elsewhere (to NATS, to HTTP, to logs, to terminals): here they mean nothing.

Each is put into every string that a request has. What can't hold it is refused; what can keeps it as it is.
"""

import json
from typing import Any

import msgspec
import pytest
from nats.aio.msg import Msg

from magi.domain.voting_request import Received
from tests.gateway.client import Message, request
from tests.gateway.hostile.target import Target
from tests.gateway.stack import PANEL, aggregate

MARK = "zq9planted"
"""Is looked for where no word of a submission may be."""
WORDS = {
    "a wildcard": f"*{MARK}",
    "all subjects": f"magi.log.>{MARK}",
    "a subject of the server": f"$JS.API.STREAM.DELETE.MAGI_LOG {MARK}",
    "a command of NATS": f"x\r\nPUB magi.log.good.x 2\r\n{MARK}\r\n",
    "a header": f"x\r\nNats-Rollup: all\r\n{MARK}: 1",
    "a line of a log": f'x\n{{"event": "{MARK}", "level": "info"}}',
    "colours": f"\x1b[31m{MARK}\x1b[0m",
    "a window title": f"\x1b]0;{MARK}\x07",
    "an eight-bit control sequence": f"\x9b2J{MARK}",
    "a turn of direction": f"\u202e{MARK}\u2066",
    "a format string": f"%s%n{{0.__class__}}{{self}}{MARK}",
    "a path": f"../../../etc/passwd{MARK}",
    "SQL": f"'; DROP TABLE requests; --{MARK}",
    "markup": f"<script>alert('{MARK}')</script>[bold]{MARK}[/bold]",
}


def names(word: str) -> dict[str, dict[str, Any]]:
    """Requests with a word in every place where there is a string, by the place."""
    return {
        "request_id": {"request_id": word},
        "user_query": {"user_query": word},
        "agent_answer": {"agent_answer": word},
        "voter_list": {"voter_list": ["voter_1", word]},
        "strategy": {"strategy": word},
        "strategy.name": {"strategy": {"name": word}},
        "strategy.key": {"strategy": {"name": "unanimous", word: 1}},
        "strategy.quorum": {"strategy": {"name": "minority_rule", "quorum": word}},
        "strategy.holders": {"strategy": {"name": "veto", "holders": [word]}},
        "strategy.weights": {"strategy": {"name": "weighted", "weights": {word: 1.0}}},
        "decide": {"decide": word},
        "timeout_ms": {"timeout_ms": word},
        "metadata.key": {"metadata": {word: 1}},
        "metadata.value": {"metadata": {"model": word, "deep": [{"x": word}]}},
        "traceparent": {"traceparent": word},
        "panel": {"panel": word},
        "an unknown field": {word: word},
    }


class Listener:
    """Hears everything that goes over NATS, and remembers where."""

    def __init__(self) -> None:
        self.subjects: list[str] = []
        self.headers: list[str] = []

    async def hear(self, msg: Msg) -> None:
        self.subjects.append(msg.subject)
        self.headers.append(repr(msg.headers))


@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
async def test_no_word_reaches_a_subject_a_header_or_a_log_but_in_its_id(target: Target, word: str) -> None:
    listener = Listener()
    await target.stack.bus.subscribe(">", listener.hear)
    await target.stack.nc.flush()
    for number, (place, fields) in enumerate(names(word).items()):
        sent = request(**{"request_id": f"r{number}", **fields})
        async with target.client() as client:
            await client.send(sent)
            answers = await client.receive_until(lambda message: message["type"] in ("final_result", "error"))
            assert await client.silent()
        judge(target, sent, answers, place)
        if answers[-1]["type"] == "final_result":
            await kept(target, sent)
    assert not [subject for subject in listener.subjects if MARK in subject or not subject.isprintable()]
    assert not [headers for headers in listener.headers if MARK in headers]
    logged = [{key: value for key, value in entry.items() if key != "request_id"} for entry in target.logs]
    assert MARK not in json.dumps(logged, default=repr)  # an id is told, made harmless: tests/cli/test_log_lines.py


def judge(target: Target, sent: Message, answers: list[Message], place: str) -> None:
    """Either it was judged, or it got one error of the client's."""
    last = answers[-1]
    if last["type"] == "final_result":
        assert place not in ("voter_list", "decide", "timeout_ms")
        assert not place.startswith("strategy")
        target.accepted.add(sent["request_id"])
    else:
        assert len(answers) == 1
        assert last["code"] in ("invalid_message", "unknown_voter", "unknown_strategy"), place
        assert last["retryable"] is False
        assert len(last["message"]) <= 300


async def kept(target: Target, sent: Message) -> None:
    """What was accepted is stored as it was sent, and nowhere but in the content and the name."""
    received = (await target.stack.stored(sent["request_id"]))[0].event
    assert isinstance(received, Received)
    content = received.content
    assert (content.user_query, content.agent_answer) == (sent["user_query"], sent["agent_answer"])
    assert content.metadata == sent.get("metadata", {})
    rest = msgspec.structs.replace(received, request_id="", content=None)
    assert MARK.encode() not in msgspec.json.encode(rest)


@pytest.mark.parametrize("name", ["*", ">", "a.b", "magi.log.>", " ", ".", "..", "a\u2028b", "\ufeff", "e\u0301"])
async def test_a_strange_name_is_a_request_of_its_own(target: Target, name: str) -> None:
    """None stands for another: not the wildcard, not what looks alike."""
    target.accepted |= {"abc123", "\u00e9", name}
    async with target.client() as client:
        for other in ("abc123", "\u00e9"):
            await client.judged(request(other))
        events = await client.judged(request(name, agent_answer="another"))
        assert {event["request_id"] for event in events} == {name}
        assert (await client.resume(name))[:-1] == events
    assert aggregate(name) not in (aggregate("abc123"), aggregate("\u00e9"))


@pytest.mark.parametrize("voter", ["*", ">", "voter_*", "VOTER_1", "voter_1 ", "voter_1\0", "../voter_1", "", "v" * 65])
async def test_a_voter_is_who_is_named_letter_by_letter(target: Target, voter: str) -> None:
    async with target.client() as client:
        answer = await client.ask(request(voter_list=[voter]))
        assert answer["code"] in ("unknown_voter", "invalid_message")
    assert target.stack.judged.keys() <= set(PANEL)
