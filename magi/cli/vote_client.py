"""The connection of `magi vote`: a voter over WebSocket (PROTOCOL §2) that has one task at a time."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
from msgspec import UNSET, Struct, UnsetType
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from magi.cli.context import NotRunning
from magi.cli.submit_client import Address, SubmitFailed, asked_to_wait, connection_to, raise_if_final, reason_of
from magi.domain.clock import milliseconds
from magi.domain.messages import Opinion, ProgressBallot, ResultBallot, Task, encode
from magi.eventstore.presence import now_ms

log = structlog.get_logger(__name__)

READING = "reading"
"""The status that is reported when a person has a task before them."""
_ANSWER_WITHIN = 10.0
"""Seconds until a gateway that doesn't answer is taken for dead."""
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class WrongVoter(SubmitFailed):
    """The token names another voter than the one that was meant."""


class _Authenticated(Struct, frozen=True, tag="authenticated"):
    voter_id: str = ""


class _Accepted(Struct, frozen=True, tag="accepted"):
    task_id: str
    kind: str


class _Error(Struct, frozen=True, tag="error"):
    code: str
    message: str = ""
    task_id: str | UnsetType = UNSET


_Frame = _Authenticated | _Accepted | _Error | Task
_decode = msgspec.json.Decoder(_Frame).decode

Ask = Callable[[Task], Awaitable[Opinion]]
"""Shows a task and returns the person's vote. Cancelled when there is nothing to vote on any more."""


class Desk:
    """Where one person votes, as one instance of a voter."""

    def __init__(self, voter: str, where: Callable[[], Address], ask: Ask, tell: Callable[[str], None]) -> None:
        """`where` is asked before every connection; `tell` gets what the person should know besides the tasks."""
        self._voter = voter
        self._where = where
        self._ask = ask
        self._tell = tell
        self.voted = 0
        """Votes that were accepted."""

    async def work(self) -> None:
        """Take tasks until cancelled, connecting again when a connection breaks. Raises SubmitFailed, NotRunning."""
        pause, reached, problem, asked = _FIRST_PAUSE, False, "", 0.0
        while True:
            try:
                async with connection_to(self._where(), "/v1/voter", show_token=False) as connection:
                    await self._begin(connection)
                    if problem:
                        self._tell("connected again")
                    pause, reached, problem = _FIRST_PAUSE, True, ""
                    await self._serve(connection)
            except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed, NotRunning) as error:
                raise_if_final(error, reached=reached)
                if not reached and pause >= _LONGEST_PAUSE:
                    raise SubmitFailed(f"can't connect: {reason_of(error)}") from error
                if reason_of(error) != problem:
                    problem = reason_of(error)
                    self._tell(f"{problem}: connecting again")
                asked = asked_to_wait(error)
            except (InvalidURI, ValueError) as error:
                raise SubmitFailed(f"that can't be the address of a gateway: {error}") from error
            await asyncio.sleep(max(asked, pause * random.uniform(0.7, 1.3)))  # noqa: S311 - jitter
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _begin(self, connection: ClientConnection) -> None:
        """Say who we are. Raises WrongVoter, SubmitFailed."""
        token = self._where().token
        await connection.send(msgspec.json.encode({"type": "authenticate", "token": token}).decode())
        match await self._frame(connection, _ANSWER_WITHIN):
            case _Authenticated(voter_id=voter) if voter == self._voter:
                pass
            case _Authenticated(voter_id=voter):
                raise WrongVoter(f"the token is that of the voter {voter!r}, not of {self._voter!r}")
            case _Error(message=message):
                raise SubmitFailed(f"unauthorized: {message}")
            case other:
                raise SubmitFailed(f"expected to be authenticated, got {type(other).__name__}")
        await connection.send('{"type":"ready","capacity":1}')

    async def _serve(self, connection: ClientConnection) -> None:
        while True:
            match await self._frame(connection):
                case Task() as task:
                    await self._judge(connection, task)
                case _Error(code=code, message=message):
                    self._tell(f"{code}: {message}")

    async def _judge(self, connection: ClientConnection, task: Task) -> None:
        """Have the person vote; and send the vote, unless the deadline or the connection's end come before it."""
        progress = ProgressBallot(task_id=task.task_id, status=READING)
        await connection.send(encode(progress).decode())
        asking = asyncio.ensure_future(self._ask(task))
        try:
            async with asyncio.timeout(max(0.0, (milliseconds(task.deadline) - now_ms()) / 1000)):
                opinion = await self._while_connected(connection, asking)
        except TimeoutError:
            self._tell("the deadline has passed: this one is decided without you")
            return
        finally:
            asking.cancel()
        ballot = ResultBallot(
            task_id=task.task_id, vote=opinion.vote, reason=opinion.reason, confidence=opinion.confidence
        )
        await connection.send(encode(ballot).decode())
        while True:
            match await self._frame(connection, _ANSWER_WITHIN):
                case _Accepted(task_id=which, kind="result") if which == task.task_id:
                    self.voted += 1
                    self._tell("accepted")
                    return
                case _Error(task_id=which, code=code, message=message) if which == task.task_id:
                    self._tell(f"not counted: {code}: {message}")
                    return
                case Task():
                    log.warning("task_too_many")  # we said that we have room for one

    async def _while_connected(self, connection: ClientConnection, asking: "asyncio.Future[Opinion]") -> Opinion:
        """What the person says. Raises ConnectionClosed as soon as the connection is gone."""
        while True:
            coming = asyncio.ensure_future(self._frame(connection))
            try:
                waits: list[asyncio.Future[Any]] = [asking, coming]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                coming.cancel()
                await asyncio.wait([coming])  # two readers at once aren't allowed
            if asking.done():
                return asking.result()
            match coming.result():
                case _Error(code=code, message=message):
                    self._tell(f"{code}: {message}")

    async def _frame(self, connection: ClientConnection, within: float | None = None) -> _Frame:
        """The next message that we know; others are skipped. Raises ConnectionClosed, TimeoutError."""
        async with asyncio.timeout(within):
            while True:
                text = await connection.recv(decode=True)
                try:
                    frame: _Frame = _decode(text)
                    return frame
                except (msgspec.DecodeError, UnicodeError):
                    log.debug("frame_skipped")
