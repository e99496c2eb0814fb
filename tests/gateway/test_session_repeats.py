"""A `request` that is sent again: the same is told again and judged once, another one of that name is refused."""

import asyncio
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from nats.aio.msg import Msg

from magi.domain.voting_request import Received, VoterResult
from tests.gateway.client import Client, Message, request, seqs
from tests.gateway.stack import PANEL, Stack

HELD = {"voter_1": "held"}
CONFLICT: Message = {
    "type": "error",
    "code": "request_conflict",
    "message": "request_id: taken by a request with other content",
    "request_id": "abc123",
    "retryable": False,
}


async def open_request(stack: Stack, client: Client) -> list[Message]:
    """Send a request of which only one vote is outstanding; returns its events so far."""
    await client.send(request(metadata=HELD))
    results = 0
    events: list[Message] = []
    while results < 2 or len(events) < 6:  # acknowledged, three times progress, two results
        events.append(await client.receive())
        results += events[-1]["type"] == "voter_result"
    return events


async def judged_once(stack: Stack) -> bool:
    """Whether the request was received once, by one event a vote, and every voter was asked once."""
    events = [recorded.event for recorded in await stack.stored("abc123")]
    votes = Counter(event.voter_id for event in events if isinstance(event, VoterResult))
    received = sum(1 for event in events if isinstance(event, Received))
    return received == 1 and votes == Counter(PANEL) and stack.judged == Counter(PANEL)


class TestTheSame:
    async def test_while_it_is_open(self, stack: Stack, client: Client) -> None:
        events = await open_request(stack, client)
        await client.send(request(metadata=HELD))
        assert [await client.receive() for _ in events] == events
        stack.release("abc123")
        assert seqs(await client.until_type("final_result")) == [7, 8]
        assert await judged_once(stack)
        assert await client.silent()

    async def test_while_it_is_open_from_another_connection(self, stack: Stack, client: Client) -> None:
        events = await open_request(stack, client)
        async with stack.client() as other:
            await other.send(request(metadata=HELD))
            assert [await other.receive() for _ in events] == events
            stack.release("abc123")
            rest = await client.until_type("final_result")
            assert await other.until_type("final_result") == rest
            assert seqs(rest) == [7, 8]
        assert await judged_once(stack)

    async def test_after_the_verdict(self, stack: Stack, client: Client) -> None:
        events = await client.judged(request())
        assert await client.judged(request()) == events
        async with stack.client() as other:
            assert await other.judged(request()) == events
            assert await other.silent()
        assert await client.silent()
        assert await judged_once(stack)

    async def test_after_its_voter_was_revoked(self, stack: Stack, client: Client) -> None:
        voters = ["voter_1", "voter_2"]
        events = await client.judged(request(voter_list=voters))
        await stack.revoke("voter_2")
        assert await client.judged(request(voter_list=voters)) == events
        async with stack.client() as other:
            assert await other.judged(request(voter_list=voters)) == events
            assert await other.silent()
        answer = await client.ask(request("another", voter_list=voters))
        assert answer["code"] == "voter_unavailable"

    async def test_while_it_is_open_after_its_voter_was_revoked(self, stack: Stack, client: Client) -> None:
        events = await open_request(stack, client)
        for voter in PANEL:
            await stack.suspend(voter)
        async with stack.client() as other:
            await other.send(request(metadata=HELD))
            assert [await other.receive() for _ in events] == events
            stack.release("abc123")
            assert seqs(await other.until_type("final_result")) == [7, 8]

    async def test_at_the_same_time_from_two_connections(self, stack: Stack, client: Client) -> None:
        async with stack.client() as other:
            for number in range(20):
                one, two = await asyncio.gather(*(c.judged(request(f"r{number}")) for c in (client, other)))
                assert one == two
                assert seqs(one) == list(range(1, len(one) + 1))

    async def test_many_times_without_waiting(self, stack: Stack, client: Client) -> None:
        for _ in range(10):
            await client.send(request())
        await client.send({"type": "ping"})
        messages = await client.until_type("pong")
        while messages[-1]["type"] != "final_result":
            messages.append(await client.receive())
        numbers = seqs(messages)
        assert numbers[0] == 1
        assert all(b in (a + 1, 1) for a, b in pairwise(numbers))
        assert all("code" not in message for message in messages)
        assert await judged_once(stack)

    async def test_what_a_default_says_may_be_said(self, client: Client, subtests: pytest.Subtests) -> None:
        said: list[dict[str, Any]] = [
            {"voter_list": []},
            {"strategy": "minority_rule"},
            {"timeout_ms": 30_000},
            {"decide": "all"},
            {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
            {"colour": "unknown fields are ignored"},
        ]
        for fields in said:
            with subtests.test(fields=fields):
                events = await client.judged(request())
                assert await client.judged(request(**fields)) == events

    async def test_the_order_of_members_is_no_content(self, client: Client) -> None:
        events = await client.judged(request(metadata={"a": 1, "b": {"c": 2, "d": 3}}))
        turned = request(metadata={"b": {"d": 3, "c": 2}, "a": 1})
        assert await client.judged(dict(reversed(turned.items()))) == events


class TestAnother:
    @pytest.mark.parametrize(
        "fields",
        [
            {"user_query": "Another question"},
            {"agent_answer": ""},
            {"voter_list": ["voter_1"]},
            {"voter_list": ["unheard_of"]},
            {"strategy": "unanimous"},
            {"decide": "early"},
            {"timeout_ms": 30_001},
            {"metadata": {}},
        ],
        ids=str,
    )
    async def test_any_other_content_is_a_conflict(self, stack: Stack, client: Client, fields: dict[str, Any]) -> None:
        await open_request(stack, client)
        async with stack.client() as other:
            assert await other.ask(request(**{"metadata": HELD, **fields})) == CONFLICT
            assert await other.silent()
        assert await client.ask(request(**{"metadata": HELD, **fields})) == CONFLICT
        assert await client.silent()
        stack.release("abc123")
        assert seqs(await client.until_type("final_result")) == [7, 8]
        assert await judged_once(stack)

    async def test_it_is_told_nothing_of_what_has_its_name(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not even if events come before the orchestrator's notice does, or if that is lost."""

        async def lose(_: Msg) -> None:
            pass

        monkeypatch.setattr(stack.gateway._hub, "_notice_handler", lambda _: lose)
        async with stack.client() as client, stack.client() as other:
            await open_request(stack, client)
            await other.send(request(agent_answer="other"))
            assert await other.silent()  # it waits
            stack.release("abc123")
            assert seqs(await client.until_type("final_result")) == [7, 8]
            assert await other.receive() == CONFLICT
            assert await other.silent()

    async def test_before_the_first_event(self, stack: Stack, client: Client) -> None:
        await client.send(request())
        await client.send(request(agent_answer="other"))
        messages = await client.until_type("final_result")
        assert [message for message in messages if message["type"] == "error"] == [CONFLICT]
        assert seqs(messages) == list(range(1, len(messages)))

    async def test_after_the_verdict(self, stack: Stack, client: Client) -> None:
        await client.judged(request())
        assert await client.ask(request(agent_answer="other")) == CONFLICT
        async with stack.client() as other:
            assert await other.ask(request(agent_answer="other")) == CONFLICT
            assert await other.silent()
        assert await client.silent()
        assert await judged_once(stack)

    async def test_at_the_same_time_one_of_two_is_judged(self, stack: Stack, client: Client) -> None:
        async def answers(client: Client, request_id: str, answer: str) -> list[Message]:
            await client.send(request(request_id, agent_answer=answer))
            return await client.receive_until(lambda m: m["type"] in ("final_result", "error"))

        async with stack.client() as other:
            for number in range(20):
                name = f"r{number}"
                both = await asyncio.gather(answers(client, name, "one"), answers(other, name, "other"))
                winner, loser = sorted(both, key=len, reverse=True)
                assert loser == [{**CONFLICT, "request_id": name}]
                assert seqs(winner) == list(range(1, len(winner) + 1))
                received = (await stack.stored(name))[0].event
                assert isinstance(received, Received)
                assert received.content.agent_answer == ("one" if winner is both[0] else "other")
            assert await other.silent()

    async def test_other_initiators_have_names_of_their_own(self, stack: Stack, client: Client) -> None:
        token = await stack.add_initiator("other")
        async with stack.client(token) as other:
            mine = await client.judged(request())
            theirs = await other.judged(request(agent_answer="other"))
            assert {event["type"] for event in mine + theirs}.isdisjoint({"error"})
            assert len(await stack.stored("abc123", "other")) == len(theirs)
