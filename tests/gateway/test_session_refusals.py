"""What an Initiator is refused: every error of PROTOCOL §1 that can occur, its whole form, and the limits."""

import asyncio
import re

import pytest

from magi.eventstore.bus import NoAck, PubAck
from magi.gateway.settings import Limits
from tests.gateway.client import Client, Message, error, request
from tests.gateway.stack import PANEL, Stack, aggregate, running
from tests.servers import NatsServer


class TestRefusals:
    async def test_each_is_one_error_of_this_form(self, client: Client, subtests: pytest.Subtests) -> None:
        cases: list[tuple[str | Message, Message]] = [
            ("{", error("invalid_json", "not JSON: Input data was truncated")),
            (request(timeout_ms=5), error("invalid_message", "timeout_ms: expected 100 to 86400000, got 5", "abc123")),
            ({"type": "task", "request_id": "x"}, error("unsupported_type", "type: 'task' is not supported", "x")),
            (
                request(voter_list=["voter_1", "voter_9"]),
                error("unknown_voter", "no voter named 'voter_9' is registered", "abc123"),
            ),
            (
                request(voter_list=["voter_1", "voter_1"]),
                error("invalid_message", "voter_list: 'voter_1' is named twice", "abc123"),
            ),
            (
                request(metadata={"x": "x" * 5000}),
                error("too_large", "metadata: expected at most 4096 bytes", "abc123"),
            ),
            (
                {"type": "resume", "request_id": "never"},
                error("unknown_request", "request_id: nothing is stored under it", "never"),
            ),
        ]
        for frame, answer in cases:
            with subtests.test(frame=frame):
                assert await client.ask(frame) == answer
                assert await client.silent()

    async def test_a_strategy_that_does_not_exist_or_fit(self, client: Client, subtests: pytest.Subtests) -> None:
        for strategy in [
            "coin_toss",
            {},
            {"name": 5},
            {"name": "threshold"},
            {"name": "threshold", "k": 0},
            {"name": "threshold", "k": 4},
            {"name": "threshold", "k": 1, "ratio": 0.5},
            {"name": "veto", "holders": ["voter_9"]},
            {"name": "minority_rule", "quorum": "all"},
            {"name": "unanimous", "colour": "blue"},
        ]:
            with subtests.test(strategy=strategy):
                answer = await client.ask(request(strategy=strategy))
                assert (answer["code"], answer["request_id"], answer["retryable"]) == (
                    "unknown_strategy",
                    "abc123",
                    False,
                )
                assert "strategy" in answer["message"]

    async def test_a_voter_that_is_suspended_or_revoked(self, stack: Stack, client: Client) -> None:
        await stack.add_voter("away")
        await stack.suspend("away")
        answer = await client.ask(request(voter_list=["voter_1", "away"]))
        assert answer == error("voter_unavailable", "voter 'away' is suspended", "abc123")
        await stack.revoke("away")
        answer = await client.ask(request(voter_list=["away"]))
        assert answer == error("voter_unavailable", "voter 'away' is revoked", "abc123")

    async def test_no_voters(self, stack: Stack, client: Client) -> None:
        for voter in PANEL:
            await stack.suspend(voter)
        message = "no panel can be formed: no voter of the group 'default' is active"
        assert await client.ask(request()) == error("no_voters", message, "abc123")

    async def test_what_only_the_orchestrator_knows_is_refused_by_it(self, stack: Stack) -> None:
        """The gateway's copy of the directory is behind: it lets the request pass."""
        await stack.add_voter("away")
        behind = await stack.start_gateway()
        await behind._directory.stop()
        async with stack.client(gateway=behind) as stale:
            await stack.suspend("away")
            answer = await stale.ask(request(voter_list=["away"]))
            assert answer == error("voter_unavailable", "voter 'away' is suspended", "abc123")
            assert await stale.silent()
            assert (await stale.judged(request()))[-1]["final_vote"] == "pass"

    async def test_an_inbox_that_is_full(self, stack: Stack, client: Client) -> None:
        await stack.change_stream("MAGI_INBOX", max_msgs=1)
        await stack.orchestrator.stop()
        await client.send(request("first"))
        answer = await client.ask(request("second"))
        assert answer.pop("message") == "the inbox takes nothing now"
        assert answer == {
            "type": "error",
            "code": "overloaded",
            "request_id": "second",
            "retryable": True,
            "retry_after_ms": 1000,
        }

    async def test_an_inbox_that_is_gone(self, stack: Stack, client: Client) -> None:
        await stack.delete_stream("MAGI_INBOX")
        answer = await client.ask(request())
        assert answer.pop("message") == "the streams can't be reached"
        assert answer == {
            "type": "error",
            "code": "unavailable",
            "request_id": "abc123",
            "retryable": True,
            "retry_after_ms": 1000,
        }

    async def test_a_log_that_is_damaged_is_our_fault(self, stack: Stack, client: Client) -> None:
        await stack.bus.store(f"magi.log.{aggregate('abc123')}", b"no event")
        answer = await client.ask({"type": "resume", "request_id": "abc123"})
        assert re.fullmatch("[0-9a-f]{32}", answer.pop("trace_id"))
        assert answer == error("internal", "something went wrong here", "abc123")
        assert await client.silent()

    async def test_the_tenth_in_a_row_ends_the_connection(self, client: Client) -> None:
        frames: list[str | Message] = ["{", {"type": "x"}, {"type": "resume", "request_id": "never"}]
        for frame in frames * 3:
            assert (await client.ask(frame))["type"] == "error"
        assert await client.silent()  # a good one in between: they are counted anew
        for _ in range(10):
            assert (await client.ask("{"))["code"] == "invalid_json"
        assert await client.closed() == 4505

    async def test_nothing_that_follows_the_tenth_is_done(self, stack: Stack, client: Client) -> None:
        for _ in range(10):
            await client.send("{")
        await client.send(request("too late"))
        assert await client.closed() == 4505
        async with stack.client() as other:
            for number in range(3):
                await other.judged(request(f"r{number}"))
        assert await stack.stored("too late") == []

    async def test_what_was_told_already_is_not_taken_back(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        """The acknowledgement of the submission is lost, but its events are there."""
        gateway = await stack.start_gateway()
        store = gateway._bus.store
        told = asyncio.Event()

        async def forgetful(subject: str, data: bytes) -> PubAck:
            await store(subject, data)
            await told.wait()
            raise NoAck("lost")

        monkeypatch.setattr(gateway._bus, "store", forgetful)
        async with stack.client(gateway=gateway) as client:
            await client.judged(request())
            told.set()
            assert await client.silent()


class TestLimits:
    async def test_sixty_four_voters_may_be_named(self, stack: Stack, client: Client) -> None:
        voters = [f"many_{n}" for n in range(64)]
        await stack.add_voters(voters)
        await client.send(request(voter_list=voters, timeout_ms=100))
        events = await client.until_type("final_result")
        assert events[0]["voters"] == voters
        assert events[-1]["tally"]["missing"] == 64

    async def test_the_longest_and_the_shortest_time_are_kept(self, client: Client) -> None:
        assert (await client.judged(request("long", timeout_ms=86_400_000)))[-1]["decided_by"] == "votes"
        final = (await client.judged(request("short", timeout_ms=100, metadata={"voter_1": "never"})))[-1]
        assert final["decided_by"] == "deadline"

    async def test_sixty_four_requests_may_be_open(self, stack: Stack, client: Client) -> None:
        for number in range(64):
            await client.send(request(f"r{number}", metadata={"voter_1": "held"}))
        acknowledged: set[str] = set()
        while len(acknowledged) < 64:
            acknowledged.add((await client.until_type("acknowledged"))[-1]["request_id"])
        await client.send(request("one too many"))
        answer = (await client.until_type("error"))[-1]
        assert answer == {
            "type": "error",
            "code": "rate_limited",
            "message": "64 requests are open",
            "request_id": "one too many",
            "retryable": True,
            "retry_after_ms": 1000,
        }
        stack.release("r7")
        await client.until_type("final_result")
        await client.send(request("one too many"))
        events = await client.until_type("final_result")
        assert events[-1]["request_id"] == "one too many"

    async def test_a_flood_is_refused_and_then_closed(self, nats_server: NatsServer) -> None:
        limits = Limits(messages_per_second=1, burst=5)
        async with running(nats_server.url, limits) as stack, stack.client() as client:
            for _ in range(5):
                assert await client.silent()
            answer = await client.ask(request())
            assert 0 < answer.pop("retry_after_ms") <= 1000
            assert answer == {
                "type": "error",
                "code": "rate_limited",
                "message": "more than 1 messages a second",
                "request_id": "abc123",
                "retryable": True,
            }
            for _ in range(9):
                assert (await client.ask({"type": "ping"}))["code"] == "rate_limited"
            assert await client.closed() == 4003
            assert await stack.stored("abc123") == []
