"""What the Initiators of a run ask: real questions and answers where they are, made-up ones elsewhere."""

import random
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.chaos.clients import Request

DATA = Path(__file__).parents[3] / "shared" / "data" / "halueval_general.jsonl"
"""Beside the checkout, if at all."""
VOTERS = ("a", "b", "c")
GHOST = "ghost"
"""A registered voter that nobody is."""
STRATEGIES = ("minority_rule", "absolute_majority", "unanimous", "veto", {"name": "threshold", "ratio": 0.5})
LONG = 300_000
"""Milliseconds. Whoever asks voters that are there has so much time that a missing vote is a lost one."""


class _Answer(Struct):
    user_query: str
    chatgpt_response: str


def requests(seed: int, count: int, name: str) -> list[Request]:
    """`count` of them, the same for the same seed: mostly of everybody and with time enough, a tenth of a panel with
    somebody absent."""
    draw = random.Random(f"{seed} {name}")
    found = []
    for number in range(count):
        absent = draw.random() < 0.1
        panel = (*draw.sample(VOTERS, 2), GHOST) if absent else tuple(draw.sample(VOTERS, draw.randint(1, 3)))
        query, answer = _content(draw)
        found.append(
            Request(
                request_id=f"{name} № {number}",
                user_query=query,
                agent_answer=answer,
                voter_list=panel,
                strategy=draw.choice(STRATEGIES),
                decide="early" if not absent and draw.random() < 0.2 else "all",
                timeout_ms=draw.randint(300, 5000) if absent else LONG,
            )
        )
    return found


def _content(draw: random.Random) -> tuple[str, str]:
    if real := _real():
        answer = draw.choice(real)
        return answer.user_query, answer.chatgpt_response
    return f"question {draw.random()}", f"answer {draw.random()} " + "x" * draw.choice([0, 0, 100, 20_000])


@cache
def _real() -> list[_Answer]:
    if not DATA.exists():
        return []
    decode = msgspec.json.Decoder(_Answer).decode
    return [decode(line) for line in DATA.read_bytes().splitlines()]
