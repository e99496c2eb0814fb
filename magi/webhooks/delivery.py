"""Delivering one signed message: again and again, with growing and random pauses, until it is taken or refused."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Final

import structlog
from aiohttp import ClientSession
from msgspec import Struct

from magi.webhooks.client import BODY_LIMIT, Answer, CallError, CallFailed, CallTimedOut, post
from magi.webhooks.signing import Secret, signed_headers

log = structlog.get_logger(__name__)

_LATER: Final = frozenset({408, 425, 429})
"""Answers of 4xx that say "not now" instead of "no"."""


class Pauses(Struct, frozen=True):
    """Between two tries, in seconds: any time up to `first`, then up to twice that, and so on up to `longest`.

    All of it is random ("full jitter"): those who failed together don't come back together.
    """

    first: float = 0.5
    longest: float = 15.0
    least: float = 0.05


class NotDelivered(CallError):
    """Nobody took the message before the deadline. The message says what the last try led to."""


class Declined(CallError):
    """The receiver said no, in a way that trying again doesn't change."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answered {status}" + (": redirects are not followed" if 300 <= status < 400 else ""))
        self.status = status


async def deliver(
    session: ClientSession,
    url: str,
    secrets: Sequence[Secret],
    message_id: str,
    body: bytes,
    *,
    deadline: float,
    attempt_seconds: float,
    body_limit: int = BODY_LIMIT,
    pauses: Pauses = Pauses(),  # noqa: B008 - frozen
    headers: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.time,
    chance: Callable[[], float] = random.random,
) -> Answer:
    """Post JSON, signed anew at each try but under one `message_id`, until it is answered 2xx; that answer.

    `deadline` is in Unix time, `attempt_seconds` how long one try may take. Without secrets nothing is signed;
    `headers` never are.
    5xx, 408, 425, 429 and broken connections are tried again, not before a ``Retry-After`` has passed. Raises Declined,
    NotDelivered, CallRefused (address or URL), AnswerTooLarge (which was delivered, then).
    """
    tried = 0
    outcome = "the deadline had passed"
    while (left := deadline - clock()) > 0:
        tried += 1
        at_least = 0.0
        try:
            signed = signed_headers(secrets, message_id, int(clock()), body) if secrets else {}
            both = {**(headers or {}), **signed}
            answer = await post(session, url, body, both, seconds=min(attempt_seconds, left), body_limit=body_limit)
        except CallTimedOut as error:
            if tried == 1 or left >= attempt_seconds:
                outcome = str(error)  # else the last try was cut short, and what came before it says more
        except CallFailed as error:
            outcome = str(error)
        else:
            if 200 <= answer.status < 300:
                return answer
            if answer.status < 500 and answer.status not in _LATER:
                raise Declined(answer.status)
            outcome = f"answered {answer.status}"
            at_least = retry_after(answer.headers.get("Retry-After", ""), clock())
        up_to = min(pauses.longest, pauses.first * 2 ** min(tried - 1, 32))
        pause = at_least + max(pauses.least, up_to * chance())
        if clock() + pause >= deadline:
            break
        log.info("webhook_again", message=message_id, tried=tried, outcome=outcome, pause=round(pause, 3))
        await asyncio.sleep(pause)
    raise NotDelivered(f"{outcome}, tried {tried} times" if tried > 1 else outcome)


def retry_after(value: str, now: float) -> float:
    """Seconds that a ``Retry-After`` asks for, given as such or as a date; 0 for none, one past, and nonsense."""
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return 0.0
