"""The judge that asks a model."""

import os
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from magi.domain.messages import Opinion, Task
from magi.eventstore.presence import now_ms
from magi.voters.agent import CannotJudge
from magi.voters.kind_settings import read_settings
from magi.voters.llm.asking import PAUSES, NoAnswer, Question, ask
from magi.voters.llm.completion import NotACompletion, read_completion
from magi.voters.llm.prompt import draw_mark, question
from magi.voters.llm.settings import LlmSettings, NoKey, read_key, read_rubric
from magi.voters.patience import seconds_to_judge
from magi.voters.spans import calling, traced
from magi.webhooks.client import open_session
from magi.webhooks.delivery import Pauses


def _draw() -> str:
    return secrets.token_hex(16)


class LlmJudge:
    """Has tasks judged by one model. It may be used for several tasks at once; how many is the agent's to bound."""

    def __init__(
        self,
        settings: LlmSettings,
        rubric: str,
        environment: Mapping[str, str],
        *,
        pauses: Pauses = PAUSES,
        draw: Callable[[], str] = _draw,
    ) -> None:
        """In an event loop. `draw` gives random marks."""
        self._settings = settings
        self._rubric = rubric
        self._environment = environment
        self._pauses = pauses
        self._draw = draw
        self._session = open_session(settings.reach)

    async def judge(self, task: Task) -> Opinion:
        """What the model says; an abstention when it has no opinion in the form that is asked for, or the task is too
        long for it. Raises CannotJudge: there is no key, or no answer in time."""
        settings = self._settings
        length = len(task.user_query) + len(task.agent_answer)
        if length > settings.max_answer_chars:
            return Opinion.abstains(
                f"too long for this voter: question and answer have {length} characters, "
                f"it reads at most {settings.max_answer_chars}"
            )
        try:
            key = read_key(settings, self._environment)
            mark = draw_mark(task, self._draw)
            body = question(settings.model, settings.temperature, self._rubric, task, mark)
            with calling(task) as span:
                answer = await ask(
                    self._session,
                    Question(settings.endpoint, body, key, task.task_id, traced(span)),
                    deadline=time.time() + seconds_to_judge(task, now_ms()),
                    attempt_seconds=settings.timeout_seconds,
                    max_tries=settings.max_tries,
                    pauses=self._pauses,
                )
            return read_completion(answer, key)
        except (NoKey, NoAnswer, NotACompletion) as error:
            raise CannotJudge(str(error)) from None  # not chained: the HTTP library's errors hold what was sent

    async def close(self) -> None:
        """To be called when no task is judged any more."""
        await self._session.close()


def llm_judge(
    settings: Mapping[str, Any], environment: Mapping[str, str] = os.environ, *, pauses: Pauses = PAUSES
) -> LlmJudge:
    """The judge of a voter that is registered with these settings. In an event loop. Raises BadSettings.

    `environment` holds the variable with the API key. That is looked at for each task: without a key the voter says so.
    """
    checked = read_settings(settings, LlmSettings)
    return LlmJudge(checked, read_rubric(checked), environment, pauses=pauses)
