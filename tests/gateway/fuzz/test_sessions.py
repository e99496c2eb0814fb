"""Any sequence of messages, sense and nonsense, over connections to a real gateway: each is answered, none is a failure
of ours, and what is told of a request is the same every time."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed

from magi.gateway import wire
from magi.gateway.frames import Ping
from magi.gateway.settings import Limits
from tests.gateway.client import Client, Message, request
from tests.gateway.fuzz.budget import again_and_again
from tests.gateway.fuzz.texts import texts
from tests.gateway.stack import QUICK, Stack, running
from tests.servers import NatsServer

EVENTS = {"acknowledged", "voter_progress", "voter_result", "final_result"}
ANSWERS = {"error", "resumed", "voters", "authenticated"}
ERRORS = {
    "invalid_json",
    "invalid_message",
    "unsupported_type",
    "unauthorized",
    "unknown_voter",
    "voter_unavailable",
} | {"no_voters", "unknown_strategy", "request_conflict", "unknown_request", "too_large", "rate_limited"}
CLOSES = {4505, 1003, 1007, 1009}
"""What a client of this kind may be closed with."""
PING = '{"type":"ping"}'
PONG = {"type": "pong"}
UNAUTHORIZED = {"type": "error", "code": "unauthorized", "message": "authenticate first", "retryable": False}
IDS = st.sampled_from(["a", "b", "*", "\U0001f600"])


class World:
    """A stack that all examples share, and the loop that it runs on."""

    def __init__(self, runner: asyncio.Runner, stack: Stack) -> None:
        self.runner = runner
        self.stack = stack


class Sessions(RuleBasedStateMachine):
    """One Initiator, which no other example has, with one connection at a time."""

    world: ClassVar[World]
    number: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        Sessions.number += 1
        self.token = self.run(self.world.stack.add_initiator(f"fuzz-{Sessions.number}"))
        self.told: dict[tuple[str, int], Message] = {}
        self.exits = AsyncExitStack()
        self.client: Client | None = None
        self.authenticated = False

    def run(self, work: Any) -> Any:
        return self.world.runner.run(work)

    def teardown(self) -> None:
        self.run(self._judged())
        self.run(self.exits.aclose())

    async def _judged(self) -> None:
        """Every request that was acknowledged gets its verdict, and its whole history is told again as it was."""
        async with self.world.stack.client(self.token) as client:
            for name in {name for name, _ in self.told}:
                messages = await client.resume(name)
                if "final_result" not in {message["type"] for message in messages}:
                    messages += await client.until_type("final_result")
                events = [message for message in messages if message["type"] in EVENTS]
                assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
                for event in events:
                    self.check_event(event)

    def check_event(self, event: Message) -> None:
        assert self.told.setdefault((event["request_id"], event["seq"]), event) == event

    # --- What happens ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.client is None)
    @rule(header=st.booleans())
    def connect(self, header: bool) -> None:
        token = self.token if header else None
        connecting = Client.connect(self.world.stack.gateway.port, token)
        self.client = self.run(self.exits.enter_async_context(connecting))
        self.authenticated = header

    @precondition(lambda self: self.client is not None)
    @rule()
    def hang_up(self) -> None:
        self.run(self.exits.aclose())
        self.client = None

    @precondition(lambda self: self.client is not None)
    @rule(good=st.booleans())
    def authenticate(self, good: bool) -> None:
        token = self.token if good else "magi_i_guess"
        self.send(json.dumps({"type": "authenticate", "token": token}))

    @precondition(lambda self: self.client is not None)
    @rule(name=IDS, answer=st.sampled_from(["one", "another"]), voters=st.sampled_from([[], ["voter_1"], ["nobody"]]))
    def request(self, name: str, answer: str, voters: list[str]) -> None:
        self.send(json.dumps(request(name, agent_answer=answer, voter_list=voters)))

    @precondition(lambda self: self.client is not None)
    @rule(name=IDS, after=st.integers(0, 12))
    def resume(self, name: str, after: int) -> None:
        self.send(json.dumps({"type": "resume", "request_id": name, "after_seq": after}))

    @precondition(lambda self: self.client is not None)
    @rule(kind=st.sampled_from(["get_voters", "ping", "ready", "result"]))
    def other(self, kind: str) -> None:
        self.send(json.dumps({"type": kind}))

    @precondition(lambda self: self.client is not None)
    @rule(text=texts)
    def anything(self, text: str) -> None:
        self.send(text)

    @precondition(lambda self: self.client is not None)
    @rule(data=st.binary(max_size=20), as_text=st.booleans())
    def octets(self, data: bytes, as_text: bool) -> None:
        self.run(self._octets(data, as_text))

    async def _octets(self, data: bytes, as_text: bool) -> None:
        assert self.client
        if as_text:
            try:
                await self._send(data.decode())
                return
            except UnicodeDecodeError:
                pass
        try:
            await self.client.connection.send(data, text=as_text)
        except ConnectionClosed:  # it was the tenth error before it
            await self._closed(CLOSES)
        else:
            await self._closed({1007 if as_text else 1003, 4505})

    # --- What must follow --------------------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        self.run(self._send(text))

    async def _send(self, text: str) -> None:
        """Send it and ask for a pong behind it: what comes before is the answer, and events."""
        assert self.client
        answers: list[Message] = []
        try:
            await self.client.send(text)
            await self.client.send(PING)
            if self.authenticated:
                pongs = 1 + isinstance(wire.decode(text, Limits()).message, Ping)
                while answers.count(PONG) < pongs:
                    answers.append(await self.client.receive())
            else:  # then each message has one answer, and nothing comes by itself
                answers += [await self.client.receive(), await self.client.receive()]
                self.authenticated = answers[0]["type"] == "authenticated"
                assert answers[1] == (PONG if self.authenticated else UNAUTHORIZED)
        except ConnectionClosed:
            await self._closed(CLOSES)
        self._check(text, answers)

    def _check(self, text: str, answers: list[Message]) -> None:
        for message in answers:
            assert message["type"] in EVENTS | ANSWERS | {"pong"}, message
            if message["type"] in EVENTS:
                self.check_event(message)
            if message["type"] == "error":
                assert message["code"] in ERRORS, message
        error = wire.decode(text, Limits()).error
        if error and self.client and self.authenticated:
            told = [message["message"] for message in answers if message.get("code") == error.code]
            assert told[:1] == [error.message[:300]] or len(error.message) > 300

    async def _closed(self, codes: set[int]) -> None:
        assert self.client
        assert await self.client.closed() in codes
        await self.exits.aclose()
        self.client = None

    @invariant()
    def the_gateway_is_there(self) -> None:
        assert not self.world.stack.gateway.failed.done()


@pytest.mark.timeout(0)
def test_any_sequence_of_messages_is_answered(fresh_nats: NatsServer) -> None:
    few = settings(
        max_examples=20, stateful_step_count=25, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    with asyncio.Runner() as runner, capture_logs() as logs:
        exits = AsyncExitStack()
        Sessions.world = World(runner, runner.run(exits.enter_async_context(running(fresh_nats.url, QUICK))))
        try:
            again_and_again(lambda: run_state_machine_as_test(Sessions, settings=few))
            assert [entry for entry in logs if entry["log_level"] == "error"] == []
        finally:
            runner.run(exits.aclose())
