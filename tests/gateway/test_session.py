"""What an Initiator says and what it is answered: every message of PROTOCOL §1."""

import re
from typing import Any

import pytest

from tests.gateway.client import Client, error, request
from tests.gateway.stack import PANEL, Stack, aggregate

AT = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class TestAuthentication:
    async def test_the_first_message_may_carry_the_token(self, stack: Stack) -> None:
        async with Client.connect(stack.gateway.port) as client:
            answer = await client.ask({"type": "authenticate", "token": stack.token})
            assert answer == {"type": "authenticated", "initiator_id": "agent"}
            assert (await client.judged(request()))[-1]["final_vote"] == "pass"

    async def test_nothing_is_answered_before(self, stack: Stack, subtests: pytest.Subtests) -> None:
        for message in [
            request(),
            {"type": "resume", "request_id": "abc123"},
            {"type": "get_voters"},
            {"type": "ping"},
        ]:
            with subtests.test(message=message):
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
        final = (await client.judged(request(timeout_ms=2500, metadata=votes)))[-1]
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

    async def test_its_name_never_reaches_a_subject(
        self, stack: Stack, client: Client, subtests: pytest.Subtests
    ) -> None:
        heard: list[str] = []

        async def hear(msg: Any) -> None:
            heard.append(msg.subject)

        await stack.bus.subscribe("magi.>", hear)
        await stack.nc.flush()
        for request_id in ["*", ">", "a.b.c", "agent.*", "\U0001f600" * 128, " ", "\u202e", "magi.log.>", "x" * 128]:
            with subtests.test(request_id=request_id):
                events = await client.judged(request(request_id))
                assert {event["request_id"] for event in events} == {request_id}
                await stack.nc.flush()
                assert f"magi.live.{aggregate(request_id)}" in heard
        names = re.compile(r"magi\.[a-z]+\.([a-z0-9_-]+\.)*([a-z0-9_-]+)")
        assert [subject for subject in heard if not names.fullmatch(subject)] == []

    async def test_a_name_that_cannot_be_one_is_refused(self, client: Client, subtests: pytest.Subtests) -> None:
        for request_id in ["", "a\r\nPUB magi.log.x 0", "a\n", "\x7f", "x" * 129]:
            with subtests.test(request_id=request_id):
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
