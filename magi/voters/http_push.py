"""A voter that is an HTTP service: the task is posted to it, signed; it votes in its answer, or in a later callback."""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import structlog
from msgspec import UNSET, UnsetType

from magi.domain.ids import VoterId
from magi.domain.messages import Opinion, Task, encode
from magi.eventstore.presence import now_ms
from magi.voters.agent import CannotJudge
from magi.voters.callbacks import CallbackServer
from magi.voters.escaping import escaped
from magi.voters.http_said import NoVote, answered
from magi.voters.http_settings import HttpSettings, read_secrets
from magi.voters.kind_settings import read_settings
from magi.voters.patience import seconds_to_judge
from magi.voters.spans import calling, traced
from magi.webhooks.client import Answer, CallError, CallRefused, open_session
from magi.webhooks.delivery import Pauses, deliver
from magi.webhooks.signing import Secret

log = structlog.get_logger(__name__)

PAUSES: Final = Pauses(first=0.25, longest=5.0)


class _Posted(Task, frozen=True, kw_only=True, tag="task"):
    callback_url: str | UnsetType = UNSET
    """Where a voter that answers 202 sends its vote."""


class HttpJudge:
    """Has tasks judged by one service. It may be used for several tasks at once; how many is the agent's to bound."""

    def __init__(
        self,
        voter: VoterId,
        settings: HttpSettings,
        secrets: Sequence[Secret],
        callbacks: CallbackServer | None = None,
        pauses: Pauses = PAUSES,
    ) -> None:
        """In an event loop. Without `callbacks` the service must answer at once."""
        self._voter = voter
        self._settings = settings
        self._secrets = tuple(secrets)
        self._callbacks = callbacks
        self._pauses = pauses
        self._session = open_session(settings.reach)
        if callbacks:
            callbacks.desk.enrol(voter, self._secrets)

    async def judge(self, task: Task) -> Opinion:
        """What the service says. Raises CannotJudge: it declines, can't be reached in time, or says no vote."""
        until = time.time() + seconds_to_judge(task, now_ms())
        with self._expecting(task) as (callback_url, called_back):
            posting = asyncio.create_task(self._post(task, until, callback_url))
            try:
                # A service may call back before its answer is here, or although its answer got lost.
                either: tuple[asyncio.Future[Any], ...] = (posting, called_back)
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if called_back.done():
                    return called_back.result()
                answer = posting.result()
                if answer.status != 202:
                    return _opinion(answer, task)
                if not callback_url:
                    raise CannotJudge("the service answered 202, but has no way to call back")
                return await _within(until, called_back)
            finally:
                posting.cancel()
                await asyncio.gather(posting, return_exceptions=True)

    async def close(self) -> None:
        """To be called when no task is judged any more."""
        if self._callbacks:
            self._callbacks.desk.dismiss(self._voter, self._secrets)
        await self._session.close()

    @contextlib.contextmanager
    def _expecting(self, task: Task) -> Iterator[tuple[str | None, "asyncio.Future[Opinion]"]]:
        """The URL for a callback, and the vote that comes that way; without a listener it never does."""
        callbacks = self._callbacks
        url = callbacks.url_for(task.task_id, self._settings.url) if callbacks else None
        if callbacks and url:
            with callbacks.desk.expecting(self._voter, self._secrets, task.task_id) as vote:
                yield url, vote
        else:
            yield None, asyncio.get_running_loop().create_future()

    async def _post(self, task: Task, until: float, callback_url: str | None) -> Answer:
        with calling(task) as span:
            answer = await self._deliver(task, until, callback_url, traced(span))
            span.note("http.response.status_code", answer.status)
            return answer

    async def _deliver(self, task: Task, until: float, callback_url: str | None, headers: Mapping[str, str]) -> Answer:
        try:
            return await deliver(
                self._session,
                self._settings.url,
                self._secrets,
                webhook_id(task),
                body(task, callback_url),
                deadline=until,
                attempt_seconds=self._settings.timeout_seconds,
                pauses=self._pauses,
                headers=headers,
            )
        except CallRefused as error:
            log.warning("voter_not_called", voter=self._voter, error=str(error))
            raise CannotJudge("the service has an address that may not be called") from error
        except CallError as error:
            raise CannotJudge(f"the service: {error}") from error


def http_judge(
    voter: VoterId,
    settings: Mapping[str, Any],
    callbacks: CallbackServer | None = None,
    environment: Mapping[str, str] = os.environ,
) -> HttpJudge:
    """The judge of a voter that is registered with these settings. In an event loop. Raises BadSettings."""
    checked = read_settings(settings, HttpSettings)
    return HttpJudge(voter, checked, read_secrets(checked, environment), callbacks)


def webhook_id(task: Task) -> str:
    """The same however often the task is posted, by whichever instance: by it the service knows one it has judged."""
    return task.task_id.replace(".", ":")  # dots are what a signature's parts are joined with


def body(task: Task, callback_url: str | None) -> bytes:
    """The task as a voter over a WebSocket gets it (PROTOCOL §2), and where to call back."""
    fields = {name: getattr(task, name) for name in task.__struct_fields__ if name != "ballot_subject"}
    return encode(_Posted(**fields, callback_url=callback_url or UNSET))


def _opinion(answer: Answer, task: Task) -> Opinion:
    if answer.status != 200:
        raise CannotJudge(f"the service answered {answer.status}, and not 200 or 202")
    try:
        return answered(answer.body, task.task_id)
    except NoVote as error:
        raise CannotJudge(f"what the service answered is no vote: {escaped(str(error))}") from None


async def _within(until: float, vote: "asyncio.Future[Opinion]") -> Opinion:
    try:
        async with asyncio.timeout(until - time.time()):
            return await vote
    except TimeoutError:
        raise CannotJudge("the service took the task and did not call back in time") from None
