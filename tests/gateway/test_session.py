"""What an Initiator says and what it is answered: every message and every error of PROTOCOL §1."""

import asyncio
import re
from typing import Any

import pytest

from magi.eventstore.bus import NoAck, PubAck
from magi.gateway.settings import Limits
from tests.gateway.client import Client, Message, request
from tests.gateway.stack import PANEL, Stack, aggregate, running
from tests.servers import NatsServer

AT = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def error(code: str, message: str, request_id: str | None = None) -> Message:
    """An error that isn't to be tried again, whole."""
    about = {} if request_id is None else {"request_id": request_id}
    return {"type": "error", "code": code, "message": message, **about, "retryable": False}


class TestAuthentication:
    async def test_the_first_message_may_carry_the_token(self, stack: Stack) -> None:
        async with Client.connect(stack.gateway.port) as client:
            answer = await client.ask({"type": "authenticate", "token": stack.token})
            assert answer == {"type": "authenticated", "initiator_id": "agent"}
            assert (await client.judged(request()))[-1]["final_vote"] == "pass"

    @pytest.mark.parametrize(
        "message",
        [request(), {"type": "resume", "request_id": "abc123"}, {"type": "get_voters"}, {"type": "ping"}],
        ids=lambda message: message["type"],
    )
    async def test_nothing_is_answered_before(self, stack: Stack, message: Message) -> None:
        async with Client.connect(stack.gateway.port) as client:
            answer = await client.ask(message)
            assert answer == error("unauthorized", "authenticate first", message.get("request_id"))

    async def test_a_bad_token_may_be_followed_by_a_good_one(self, stack: Stack) -> None:
        async with Client.connect(stack.gateway.port) as client:
            answer = await client.ask({"type": "authenticate", "token": stack.token[:-1] + "\ud83d\ude00"})
            assert answer == error("unauthorized", "token: unknown, expired or revoked")
            assert (await client.ask({"type": "authenticate", "token": stack.token}))["type"] == "authenticated"

    async def test_a_connection_stays_its_initiators(self, stack: Stack, client: Client) -> None:
        other = await stack.add_initiator("other")
        assert (await client.ask({"type": "authenticate", "token": other}))["code"] == "unauthorized"
        events = await client.judged(request())
        assert len(await stack.stored("abc123", "agent")) == len(events)

    async def test_guessing_tokens_ends_the_connection(self, stack: Stack) -> None:
        async with Client.connect(stack.gateway.port) as client:
            for _ in range(10):
                assert (await client.ask({"type": "authenticate", "token": "guess"}))["code"] == "unauthorized"
            assert await client.closed() == 4505


class TestRequest:
    async def test_the_example_of_the_protocol(self, client: Client) -> None:
        events = await client.judged(
            request(voter_list=["voter_1", "voter_2"], metadata={"model": "gpt-x", "voter_2": "fail"})
        )
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert all(event["request_id"] == "abc123" and AT.fullmatch(event.pop("at")) for event in events)
        assert AT.fullmatch(events[0].pop("deadline"))
        assert events[0] == {
            "type": "acknowledged",
            "request_id": "abc123",
            "seq": 1,
            "status": "received",
            "voters": ["voter_1", "voter_2"],
        }
        said = {(event["type"], event["voter_id"]): event for event in events[1:-1]}
        assert len(said) == len(events) - 2
        for voter, vote in (("voter_1", "pass"), ("voter_2", "fail")):
            result = said["voter_result", voter]
            assert result == {
                "type": "voter_result",
                "request_id": "abc123",
                "seq": result["seq"],
                "voter_id": voter,
                "vote": vote,
                "reason": f"{voter} says {vote}",
            }
            progress = said["voter_progress", voter]
            assert progress["seq"] < result["seq"]
            assert progress["status"] == "processing"
        assert events[-1] == {
            "type": "final_result",
            "request_id": "abc123",
            "seq": len(events),
            "final_vote": "fail",
            "details": {"voter_1": "pass", "voter_2": "fail"},
            "strategy": "minority_rule",
            "parameters": {"quorum": 2},
            "decided_by": "votes",
            "outcome_reason": "tie",
            "tally": {"pass": 1, "fail": 1, "abstain": 0, "missing": 0},
        }

    async def test_an_event_is_told_only_once_it_is_stored(self, stack: Stack, client: Client) -> None:
        await client.send(request())
        for _ in range(4):
            event = await client.receive()
            assert len(await stack.stored("abc123")) >= event["seq"]

    async def test_a_panel_is_chosen_when_none_is_named(self, client: Client) -> None:
        events = await client.judged(request())
        assert events[0]["voters"] == list(PANEL)

    async def test_who_has_not_voted_at_the_deadline_is_missing(self, client: Client) -> None:
        votes = {"voter_1": "never", "voter_2": "abstain", "voter_3": "pass"}
        final = (await client.judged(request(timeout_ms=300, metadata=votes)))[-1]
        assert final["details"] == {"voter_1": "missing", "voter_2": "abstain", "voter_3": "pass"}
        assert (final["final_vote"], final["decided_by"], final["outcome_reason"]) == ("fail", "deadline", "quorum")

    async def test_a_verdict_may_come_early(self, stack: Stack, client: Client) -> None:
        final = (await client.judged(request(decide="early", metadata={"voter_3": "held"})))[-1]
        stack.release("abc123")
        assert final["details"] == {"voter_1": "pass", "voter_2": "pass", "voter_3": "missing"}
        assert (final["final_vote"], final["decided_by"]) == ("pass", "early")

    async def test_a_strategy_may_have_parameters(self, client: Client) -> None:
        strategy = {"name": "threshold", "k": 1}
        votes = {"voter_1": "fail", "voter_2": "fail"}
        final = (await client.judged(request(strategy=strategy, metadata=votes)))[-1]
        assert (final["final_vote"], final["strategy"], final["parameters"]) == ("pass", "threshold", {"k": 1})

    @pytest.mark.parametrize(
        "request_id", ["*", ">", "a.b.c", "agent.*", "\U0001f600" * 128, " ", "\u202e", "magi.log.>", "x" * 128]
    )
    async def test_its_name_never_reaches_a_subject(self, stack: Stack, client: Client, request_id: str) -> None:
        heard: list[str] = []

        async def hear(msg: Any) -> None:
            heard.append(msg.subject)

        await stack.bus.subscribe("magi.>", hear)
        await stack.nc.flush()
        events = await client.judged(request(request_id))
        assert {event["request_id"] for event in events} == {request_id}
        await stack.nc.flush()
        names = re.compile(r"magi\.[a-z]+\.([a-z0-9_-]+\.)*([a-z0-9_-]+)")
        assert f"magi.live.{aggregate(request_id)}" in heard
        assert all(names.fullmatch(subject) for subject in heard)

    @pytest.mark.parametrize("request_id", ["", "a\r\nPUB magi.log.x 0", "a\n", "\x7f", "x" * 129])
    async def test_a_name_that_cannot_be_one_is_refused(self, client: Client, request_id: str) -> None:
        answer = await client.ask(request(request_id))
        assert answer["code"] == "invalid_message"
        assert answer["message"].startswith("request_id: ")
        assert "request_id" not in answer

    async def test_requests_of_one_connection_run_side_by_side(self, stack: Stack, client: Client) -> None:
        await client.send(request("slow", metadata={"voter_1": "held"}))
        await client.until_type("acknowledged")
        await client.judged(request("quick"))
        stack.release("slow")
        events = await client.until_type("final_result")
        assert events[-1]["request_id"] == "slow"


class TestOtherMessages:
    async def test_ping(self, client: Client) -> None:
        assert await client.ask({"type": "ping", "request_id": "x"}) == {"type": "pong"}

    async def test_get_voters_lists_all_but_the_revoked(self, stack: Stack, client: Client) -> None:
        await stack.add_voter("away")
        await stack.suspend("away")
        await stack.add_voter("gone")
        await stack.revoke("gone")
        answer = await client.ask({"type": "get_voters"})
        status = {"away": "suspended", **dict.fromkeys(PANEL, "active")}
        assert answer == {
            "type": "voters",
            "voters": [
                {"voter_id": v, "description": f"votes as told, named {v}", "kind": "nats", "status": status[v]}
                for v in sorted(status)
            ],
        }


class TestRefusals:
    @pytest.mark.parametrize(
        ("frame", "answer"),
        [
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
        ],
        ids=lambda value: value["code"] if isinstance(value, dict) and "code" in value else "",
    )
    async def test_each_is_one_error_of_this_form(self, client: Client, frame: Any, answer: Message) -> None:
        assert await client.ask(frame) == answer
        assert await client.silent()

    @pytest.mark.parametrize(
        "strategy",
        [
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
        ],
        ids=str,
    )
    async def test_a_strategy_that_does_not_exist_or_fit(self, client: Client, strategy: object) -> None:
        answer = await client.ask(request(strategy=strategy))
        assert (answer["code"], answer["request_id"], answer["retryable"]) == ("unknown_strategy", "abc123", False)
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
        for frame in ["{", {"type": "x"}, {"type": "resume", "request_id": "never"}] * 3:
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
