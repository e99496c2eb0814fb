"""Asking a model's server that is busy, slow, gone, or against it: how often, how long, and what is told of it."""

import asyncio
import re
import time
from email.utils import formatdate

import pytest
from aiohttp import web

from magi.voters.kind_settings import BadSettings
from magi.voters.llm.asking import MAX_BODY, Question
from tests.voters.llm.judging import KEY, PASSES, failure, judging, opinion, stall
from tests.voters.llm.model import declines, says
from tests.voters.tasks import a_task
from tests.webhooks.service import answers, drop, serving, status


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 529])
async def test_a_server_that_can_not_now_is_asked_again(code: int):
    async with judging(answers(declines(code, "busy"), status(code, "<html>"), says())) as (judge, service):
        assert await judge.judge(a_task()) == PASSES
    assert len(service.seen) == 3


async def test_a_broken_connection_is_tried_again():
    left = [drop, answers(says())]

    async def handle(request: web.Request) -> web.StreamResponse:
        return await left.pop(0)(request)

    assert await opinion(handle) == PASSES


async def test_a_try_that_takes_too_long_is_tried_again():
    left = [stall]

    async def handle(request: web.Request) -> web.StreamResponse:
        return await (left.pop() if left else answers(says()))(request)

    assert await opinion(handle, timeout_seconds=1.0) == PASSES


async def test_it_gives_up_after_so_many_tries_and_says_why():
    assert await failure(answers(declines(503)), max_tries=3) == (
        "the model's server gave no answer: it answered 503, in 3 calls",
        3,
    )


async def test_it_gives_up_before_the_deadline():
    why, _ = await failure(stall, a_task(seconds=0.8))
    found = re.match(r"the model's server gave no answer: no answer within (0\.\d+) s", why)
    assert found, why
    assert float(found[1]) < 0.7, "it keeps some of the time back to say so"


async def test_a_pause_that_the_server_asks_for_is_kept():
    began = time.monotonic()
    assert await opinion(answers(declines(429, Retry_After="1"), says())) == PASSES
    assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_a_pause_for_which_there_is_no_time_ends_it_at_once(form: str):
    wait = "3600" if form == "seconds" else formatdate(time.time() + 3700, usegmt=True)
    began = time.monotonic()
    why, asked = await failure(answers(declines(429, Retry_After=wait)))
    assert time.monotonic() - began < 25, "and not until the deadline"
    assert asked == 1
    assert "it answered 429 and asks to wait 3" in why


@pytest.mark.parametrize("code", [401, 403])
async def test_a_key_that_is_refused_ends_it_at_once_and_no_word_of_the_server_is_told(code: int):
    why, asked = await failure(answers(declines(code, f"Incorrect API key provided: sk-****{KEY[-4:]}")))
    assert why == f"the model's server refused the API key: it answered {code}"
    assert asked == 1


@pytest.mark.parametrize("code", [400, 404, 405, 413, 422])
async def test_a_call_that_is_declined_ends_it_at_once_with_the_words_of_the_server(code: int):
    why, asked = await failure(answers(declines(code, f"no model \x1b[2Jm-1 for {KEY}")))
    assert why == f"the model's server answered {code}: no model \\x1b[2Jm-1 for ***"
    assert asked == 1


async def test_a_redirect_is_not_followed():
    async with serving(answers(says())) as elsewhere:
        why, asked = await failure(answers(status(307, Location=f"{elsewhere.url}/v1/chat/completions")))
        assert elsewhere.seen == []
    assert "307: redirects are not followed" in why
    assert asked == 1


async def test_an_answer_without_end_is_not_read():
    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(2 * MAX_BODY // 65_536):
            await response.write(b" " * 65_536)
        return response

    why, asked = await failure(flood)
    assert why == "the model's server gave an answer of more than 1,048,576 bytes"
    assert asked == 1


async def test_a_server_that_is_not_there_is_said_to_be_so():
    async with serving(answers(says())) as service:
        gone = service.url
    why, _ = await failure(answers(says()), base_url=f"{gone}/v1", max_tries=2)
    assert why == "the model's server gave no answer: no answer: connection refused, in 2 calls"


async def test_nonsense_instead_of_http_does_not_tell_the_key():
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read(100)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        why, _ = await failure(answers(says()), base_url=f"http://127.0.0.1:{port}/v1", max_tries=2)
    assert why.startswith("the model's server gave no answer: ")


async def test_addresses_of_this_machine_can_be_forbidden():
    with pytest.raises(BadSettings, match="loopback addresses may not be called"):
        await opinion(answers(says()), allow_private=False)
    why, asked = await failure(answers(says()), allow_private=False, base_url="http://localhost:1/v1")
    assert why == "the model's server has an address that may not be called"
    assert asked == 0


def test_a_question_does_not_show_its_key():
    asked = Question("http://model/v1", b"{}", KEY, "t")
    assert KEY not in f"{asked!r} {asked}"
