"""Tokens: what they are good for and for how long, on every gateway; and when they were used last."""

import asyncio
import os
from collections.abc import Awaitable, Callable

from websockets.exceptions import InvalidStatus

from magi.domain import initiator as initiators
from magi.domain.clock import rfc3339
from magi.domain.ids import InitiatorId, initiator_aggregate
from magi.domain.tokens import ENTROPY, new_token, token_hash, token_id
from magi.eventstore import subjects
from magi.eventstore.direct import DirectReader
from magi.eventstore.directory import change_initiator
from magi.eventstore.last_use import last_uses
from magi.eventstore.presence import now_ms
from tests.gateway.client import Client, error, request
from tests.gateway.stack import Stack
from tests.waiting import stopwatch, until

SOON = 500
"""Milliseconds: long enough to connect with a token before it expires."""


def soon() -> str:
    return rfc3339(now_ms() + SOON)


async def lets_in(stack: Stack, token: str) -> bool:
    """Whether a handshake with the token is taken."""
    try:
        async with stack.client(token):
            return True
    except InvalidStatus as answer:
        if answer.response.status_code != 401:
            raise
        return False


def refused(stack: Stack, token: str) -> Callable[[], Awaitable[bool]]:
    async def is_refused() -> bool:
        return not await lets_in(stack, token)

    return is_refused


class TestExpiry:
    async def test_an_open_connection_is_closed_with_4005_when_its_token_expires(self, stack: Stack) -> None:
        until_ms = now_ms() + SOON
        token = await stack.issue_token("agent", expires=rfc3339(until_ms))
        async with stack.client(token) as client:
            assert await client.silent()
            assert await client.closed() == 4005
        assert 0 <= now_ms() - until_ms < 1000

    async def test_an_expired_token_is_refused_with_401_or_an_error(self, stack: Stack) -> None:
        token = await stack.issue_token("agent", expires=soon())
        await until(refused(stack, token), "it has expired")
        async with Client.connect(stack.gateway.port) as client:
            expected = error("unauthorized", "token: unknown, expired or revoked")
            assert await client.ask({"type": "authenticate", "token": token}) == expected

    async def test_whoever_shows_another_token_in_time_stays(self, stack: Stack) -> None:
        old, new = await stack.issue_token("agent", expires=soon()), await stack.issue_token("agent")
        async with stack.client(old) as client, stack.client(old) as other:
            assert (await client.ask({"type": "authenticate", "token": new}))["type"] == "authenticated"
            assert await other.closed() == 4005
            assert await client.silent()

    async def test_a_rotated_token_is_good_for_the_overlap_and_the_new_one_from_the_first_moment(
        self, stack: Stack
    ) -> None:
        old, new = await stack.issue_token("agent"), new_token("i", os.urandom(ENTROPY))
        now = now_ms()
        rotate = initiators.RotateTokens("agent", token_hash(new), now + SOON, "a leak", "test", now)
        async with stack.client(old) as client:
            await change_initiator(stack.directory, rotate)

            async def known() -> bool:
                return await lets_in(stack, new)

            await until(known, "the gateway knows the new token")
            assert await client.silent()
            assert await client.closed() == 4005
        assert not await lets_in(stack, old)
        assert await lets_in(stack, new)


class TestScopes:
    async def test_a_token_to_read_reads_and_can_not_submit_which_is_forbidden(self, stack: Stack) -> None:
        reader = await stack.issue_token("agent", scopes=("read",))
        async with stack.client() as client, stack.client(reader) as reading:
            told = await client.judged(request())
            expected = error("forbidden", "request: not allowed with this token", "other")
            assert await reading.ask(request("other")) == expected
            assert (await reading.ask(request()))["code"] == "forbidden"
            assert await stack.stored("other") == []
            assert (await reading.resume("abc123"))[:-1] == told
            assert (await reading.ask({"type": "get_voters"}))["type"] == "voters"
            assert await reading.silent()

    async def test_a_token_to_submit_reads_what_its_initiator_submitted(self, stack: Stack) -> None:
        async with stack.client() as client:
            told = await client.judged(request())
        async with stack.client(await stack.issue_token("agent")) as client:
            assert (await client.resume("abc123"))[:-1] == told

    async def test_a_token_that_is_good_for_nothing_here_is_closed_with_4503(self, stack: Stack) -> None:
        """As one is that a later version has issued."""
        token, name = new_token("i", os.urandom(ENTROPY)), initiator_aggregate(InitiatorId("agent"))
        digest = token_hash(token)
        head = (await stack.directory.load(name))[-1].head
        event = initiators.TokenIssued(token_id=token_id(digest), sha256=digest, scopes=("later",), by="test")
        await stack.directory.append(name, [event], head)

        async def known() -> bool:
            return stack.gateway._directory.directory.authenticate(digest) is not None

        await until(known, "the gateway knows it")
        async with stack.client(token) as client:
            assert await client.closed() == 4503
        async with Client.connect(stack.gateway.port) as client:
            await client.send({"type": "authenticate", "token": token})
            assert await client.closed() == 4503


async def test_revocation_cuts_the_connections_of_every_gateway_within_a_second_with_4507(stack: Stack) -> None:
    second = await stack.start_gateway()
    token = await stack.issue_token("agent")
    async with (
        stack.client(token) as one,
        stack.client(token, second) as two,
        stack.client(gateway=second) as unconcerned,
    ):
        assert await one.silent()
        assert await two.silent()
        async with stopwatch() as watch:
            await stack.revoke_token("agent", token)
            assert await asyncio.gather(one.closed(), two.closed()) == [4507, 4507]  # type: ignore[comparison-overlap]  # a list, whatever its stub says
        assert watch.seconds < 1.0
        assert await unconcerned.silent()


class TestLastUse:
    async def test_it_is_noted_for_operators_and_not_again_for_a_while(self, stack: Stack) -> None:
        token, unused = await stack.issue_token("agent"), await stack.issue_token("agent")
        ids = [token_id(token_hash(one)) for one in (token, unused)]
        reader = DirectReader(stack.bus, subjects.USAGE)
        await reader.start()
        began = rfc3339(now_ms())
        async with stack.client(token):

            async def noted() -> bool:
                return ids[0] in await last_uses(reader, ids)

            await until(noted, "its use is noted")
        [(used, at)] = (await last_uses(reader, ids)).items()
        assert used == ids[0]
        assert began <= at <= rfc3339(now_ms())
        async with stack.client(token):
            pass
        await stack.gateway._last_use._note()
        assert await last_uses(reader, ids) == {ids[0]: at}

    async def test_a_short_connection_is_noted_when_the_gateway_stops(self, stack: Stack) -> None:
        token = await stack.issue_token("agent")
        gateway = await stack.start_gateway()
        async with stack.client(token, gateway):
            pass
        await gateway.stop()
        reader = DirectReader(stack.bus, subjects.USAGE)
        await reader.start()
        assert [*await last_uses(reader, [token_id(token_hash(token))])] == [token_id(token_hash(token))]

    async def test_without_its_bucket_everything_else_goes_on(self, stack: Stack) -> None:
        await stack.delete_stream(subjects.USAGE)
        reader = DirectReader(stack.bus, subjects.USAGE)
        await reader.start()
        async with stack.client() as client:
            await stack.gateway._last_use._note()
            assert (await client.judged(request()))[-1]["final_vote"] == "pass"
        assert await last_uses(reader, [token_id(token_hash(stack.token))]) == {}
