"""Asking a chat endpoint: again when it is busy or can't be reached, as long as there is time; never with a word of the
key in what is said about it."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from aiohttp import ClientSession
from msgspec import Struct

from magi.voters.llm.completion import read_refusal
from magi.webhooks.client import Answer, AnswerTooLarge, CallFailed, CallRefused, post
from magi.webhooks.delivery import Pauses, retry_after

log = structlog.get_logger(__name__)

MAX_BODY: Final = 1 << 20
"""Bytes of a server's answer. The model's own is far below that, but some servers send its thoughts along."""
PAUSES: Final = Pauses(first=0.5, longest=10.0)

_LATER: Final = frozenset({408, 425, 429})
_KEY: Final = frozenset({401, 403})


class NoAnswer(Exception):
    """There was no answer to be had. The message says why, without the key and without where the server is."""


class Question(Struct, frozen=True):
    """One call, as often as it is tried."""

    url: str
    body: bytes
    key: str
    task_id: str
    """For the log."""
    headers: Mapping[str, str] = {}
    """Sent besides those that every call has."""

    def __repr__(self) -> str:
        return f"Question({self.url!r}, {len(self.body)} bytes)"


async def ask(
    session: ClientSession,
    question: Question,
    *,
    deadline: float,
    attempt_seconds: float,
    max_tries: int,
    pauses: Pauses = PAUSES,
    clock: Callable[[], float] = time.time,
    chance: Callable[[], float] = random.random,
) -> bytes:
    """The body of the answer with status 200. Raises NoAnswer.

    `deadline` is in Unix time; one try takes at most `attempt_seconds`. 5xx, 408, 425, 429, time-outs and broken
    connections are tried again, after the pause that a ``Retry-After`` asks for and a random one.
    """
    outcome = "there was no time left to ask it"
    for tried in range(1, max_tries + 1):
        if (left := deadline - clock()) <= 0:
            break
        at_least = 0.0
        try:
            answer = await _post(session, question, min(attempt_seconds, left))
        except CallFailed as error:
            outcome = str(error)
        else:
            if answer.status == 200:
                return answer.body
            if answer.status < 500 and answer.status not in _LATER:
                raise NoAnswer(_declined(answer, question.key))
            outcome = f"it answered {answer.status}"
            at_least = retry_after(answer.headers.get("Retry-After", ""), clock())
        pause = at_least + max(pauses.least, min(pauses.longest, pauses.first * 2 ** min(tried - 1, 32)) * chance())
        if clock() + pause >= deadline:
            outcome += f" and asks to wait {at_least:.0f} s, for which there is no time" if at_least else ""
            break
        if tried < max_tries:
            log.info("model_again", task=question.task_id, tried=tried, outcome=outcome, pause=round(pause, 3))
            await asyncio.sleep(pause)
    times = f", in {tried} calls" if tried > 1 else ""
    raise NoAnswer(f"the model's server gave no answer: {outcome}{times}")


async def _post(session: ClientSession, question: Question, seconds: float) -> Answer:
    key = {"Authorization": f"Bearer {question.key}"} if question.key else {}
    headers = {**question.headers, **key}
    try:
        return await post(session, question.url, question.body, headers, seconds=seconds, body_limit=MAX_BODY)
    except AnswerTooLarge as error:
        raise NoAnswer(f"the model's server gave {error}") from None
    except CallRefused as error:
        log.warning("model_not_called", task=question.task_id, error=str(error))
        raise NoAnswer("the model's server has an address that may not be called") from None


def _declined(answer: Answer, key: str) -> str:
    if answer.status in _KEY:
        # What a server says of a key, it may quote in part.
        what = "the API key" if key else "a call without an API key"
        return f"the model's server refused {what}: it answered {answer.status}"
    if 300 <= answer.status < 400:
        return f"the model's server answered {answer.status}: redirects are not followed"
    words = read_refusal(answer.body, key)
    return f"the model's server answered {answer.status}" + (f": {words}" if words else "")
