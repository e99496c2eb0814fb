"""Delivering a message until it is taken, refused, or late."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from email.utils import formatdate

import pytest
from aiohttp import ClientSession, web

from magi.webhooks.addresses import WITH_PRIVATE
from magi.webhooks.client import Answer, AnswerTooLarge, CallRefused, open_session
from magi.webhooks.delivery import Declined, NotDelivered, Pauses, deliver, retry_after
from magi.webhooks.signing import Secret, new_secret, verify
from tests.waiting import stopwatch
from tests.webhooks.service import Service, answers, drop, serving, status

SECRET = Secret(new_secret(b"s" * 32))
QUICK = Pauses(first=0.02, longest=0.05, least=0.001)
BODY = b'{"n":1}'


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with open_session(WITH_PRIVATE) as session:
        yield session


async def delivered(session: ClientSession, service: Service, seconds: float = 5.0, attempt: float = 5.0) -> Answer:
    return await deliver(
        session,
        service.url,
        [SECRET],
        "message:1",
        BODY,
        deadline=time.time() + seconds,
        attempt_seconds=attempt,
        pauses=QUICK,
    )


async def test_a_message_is_signed_and_delivered(session: ClientSession) -> None:
    async with serving(answers(status(200, "thanks"))) as service:
        assert (await delivered(session, service)).body == b"thanks"
    (seen,) = service.seen
    assert verify([SECRET], seen.headers, seen.body, time.time()).message_id == "message:1"
    assert seen.body == BODY


@pytest.mark.parametrize("code", [500, 502, 503, 504, 429, 408, 425])
async def test_not_now_is_tried_again_under_the_same_id(session: ClientSession, code: int) -> None:
    async with serving(answers(status(code), status(code), status(202))) as service:
        assert (await delivered(session, service)).status == 202
    assert len(service.seen) == 3
    assert {verify([SECRET], seen.headers, seen.body, time.time()).message_id for seen in service.seen} == {"message:1"}


async def test_a_dropped_connection_is_tried_again(session: ClientSession) -> None:
    calls = 0

    async def first_drops(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        return await drop(request) if calls == 1 else web.Response(text="here")

    async with serving(first_drops) as service:
        assert (await delivered(session, service)).body == b"here"


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 410, 413, 422, 302])
async def test_no_is_no(session: ClientSession, code: int) -> None:
    async with serving(answers(status(code))) as service:
        with pytest.raises(Declined, match=f"answered {code}") as declined:
            await delivered(session, service)
    assert declined.value.status == code
    assert len(service.seen) == 1


async def test_it_ends_at_the_deadline(session: ClientSession) -> None:
    async with serving(answers(status(500))) as service:
        async with stopwatch() as watch:
            with pytest.raises(NotDelivered, match="answered 500, tried"):
                await delivered(session, service, seconds=1.5)
        assert watch.seconds < 2.2
    assert len(service.seen) > 2


async def test_after_the_deadline_nothing_is_posted(session: ClientSession) -> None:
    async with serving(answers(status(200))) as service:
        with pytest.raises(NotDelivered):
            await delivered(session, service, seconds=-1)
    assert service.seen == []


async def test_a_slow_try_is_given_up_for_another(session: ClientSession) -> None:
    calls = 0

    async def first_hangs(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.Event().wait()
        return web.Response(text="here")

    async with serving(first_hangs) as service:
        assert (await delivered(session, service, attempt=0.2)).body == b"here"


async def test_a_retry_after_is_waited_for(session: ClientSession) -> None:
    async with serving(answers(status(429, Retry_After="1"), status(200))) as service:
        began = time.monotonic()
        await delivered(session, service)
        assert time.monotonic() - began >= 1.0


async def test_a_retry_after_the_deadline_ends_it_at_once(session: ClientSession) -> None:
    async with serving(answers(status(503, Retry_After="60"))) as service:
        began = time.monotonic()
        with pytest.raises(NotDelivered, match="answered 503"):
            await delivered(session, service, seconds=30)
        assert time.monotonic() - began < 25
    assert len(service.seen) == 1


async def test_pauses_are_random_and_double_up_to_the_longest(session: ClientSession) -> None:
    waited: list[float] = []

    def chance() -> float:
        waited.append(time.monotonic())
        return 1.0

    async with serving(answers(status(500))) as service:
        with pytest.raises(NotDelivered):
            await deliver(
                session,
                service.url,
                [SECRET],
                "m",
                BODY,
                deadline=time.time() + 2.5,
                attempt_seconds=5,
                pauses=Pauses(first=0.05, longest=0.2, least=0.0),
                chance=chance,
            )
    gaps = [later - sooner for sooner, later in itertools.pairwise(waited)]
    assert [gap >= pause for gap, pause in zip(gaps, [0.05, 0.1, 0.2, 0.2], strict=False)] == [True] * 4
    assert len(gaps) <= 14


async def test_what_may_not_be_called_isnt_tried_again() -> None:
    async with open_session() as session, serving(answers(status(200))) as service:
        with pytest.raises(CallRefused):
            await delivered(session, service)
    assert service.seen == []


async def test_a_huge_answer_isnt_asked_for_again(session: ClientSession) -> None:
    async with serving(answers(status(200, "x" * 100_000))) as service:
        with pytest.raises(AnswerTooLarge):
            await delivered(session, service)
    assert len(service.seen) == 1


def test_retry_after_is_seconds_or_a_date() -> None:
    now = 1_800_000_000.0
    assert retry_after("120", now) == 120
    assert retry_after(formatdate(now + 90, usegmt=True), now) == pytest.approx(90)
    assert retry_after(formatdate(now - 90, usegmt=True), now) == 0
    for nonsense in ("", "-5", "soon", "1e9", "²", "9" * 30):
        assert retry_after(nonsense, now) == 0
