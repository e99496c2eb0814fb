"""A judge over a model's server, and what is demanded of each of its failures."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from magi.domain.messages import Opinion, Task
from magi.voters.agent import CannotJudge
from magi.voters.llm import LlmJudge, llm_judge
from magi.webhooks.delivery import Pauses
from tests.voters.tasks import a_task
from tests.webhooks.service import Handler, Service, serving

KEY = "sk-live-0123456789abcdef"
PASSES = Opinion.passes("It has tests.", 0.75)
QUICK = Pauses(first=0.01, longest=0.02, least=0.001)


@asynccontextmanager
async def judging(handler: Handler, **settings: Any) -> AsyncIterator[tuple[LlmJudge, Service]]:
    async with serving(handler) as service:
        given = {
            "model": "m-1",
            "base_url": f"{service.url}/v1",
            "rubric": "The answer has tests.",
            "key_variable": "MODEL_KEY",
            **settings,
        }
        judge = llm_judge(given, {"MODEL_KEY": KEY}, pauses=QUICK)
        try:
            yield judge, service
        finally:
            await judge.close()


async def opinion(handler: Handler, task: Task | None = None, **settings: Any) -> Opinion:
    async with judging(handler, **settings) as (judge, _):
        return await judge.judge(task or a_task())


async def failure(handler: Handler, task: Task | None = None, **settings: Any) -> tuple[str, int]:
    """Why it can't judge, and how often it asked. Neither the words, nor the traceback, nor the log hold the key."""
    async with judging(handler, **settings) as (judge, service):
        with capture_logs() as logs, pytest.raises(CannotJudge) as caught:
            await judge.judge(task or a_task())
        told = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(logs) + repr(vars(judge))
        assert KEY[8:] not in told.replace(repr({"MODEL_KEY": KEY}), "")
        assert service.url.removeprefix("http://") not in str(caught.value)
        return str(caught.value), len(service.seen)


async def stall(request: web.Request) -> web.Response:
    await asyncio.sleep(60)
    return web.Response()
