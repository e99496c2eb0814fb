"""Whoever says to be somebody else, or wants what is somebody else's; and tokens of before."""

import os

import pytest
from websockets.exceptions import InvalidStatus

from magi.domain.tokens import ENTROPY, new_token
from tests.gateway.client import Client, error, request
from tests.gateway.hostile.target import BAD, GOOD, Target
from tests.gateway.stack import Stack

UNKNOWN = "token: unknown, expired or revoked"


async def status(target: Target, token: str) -> int:
    """The answer to a handshake with a token."""
    with pytest.raises(InvalidStatus) as refused:
        async with Client.connect(target.port, token):
            pass
    return refused.value.response.status_code


async def by_message(target: Target, token: str) -> str:
    """The code of the answer to a first message with a token."""
    async with Client.connect(target.port) as client:
        answer = await client.ask({"type": "authenticate", "token": token})
        assert (await client.ask({"type": "ping"}))["code"] == "unauthorized"
        return str(answer["code"])


async def replaced(stack: Stack) -> str:
    """A token that was revoked after another one was issued in its place."""
    old = await stack.issue_token(BAD)
    await stack.issue_token(BAD)
    await stack.revoke_token(BAD, old)
    return old


class TestWhatIsSomebodyElses:
    async def test_a_request_of_another_is_one_that_there_is_not(self, target: Target) -> None:
        """The answer is the same as for one that nobody has: who asks doesn't learn which there are."""
        async with target.client() as client:
            for name in ("witness 1", "nobody's"):
                answer = await client.ask({"type": "resume", "request_id": name})
                assert answer == error("unknown_request", "request_id: nothing is stored under it", name)

    async def test_its_events_are_not_told_to_who_waits_for_its_name(self, target: Target) -> None:
        target.accepted.add("witness 2")
        async with target.client() as client:
            await client.send(request("witness 2", metadata={"voter_1": "held"}))
            await client.until_type("acknowledged")
            await target.witness()  # which is of that name, and gets a verdict
            target.stack.release("witness 2")
            events = await client.until_type("final_result")
            assert len(await target.stack.stored("witness 2", BAD)) == len(events) + 1

    async def test_to_send_anothers_request_again_is_to_send_ones_own(self, target: Target) -> None:
        target.accepted.add("witness 1")
        theirs = await target.stack.stored("witness 1", GOOD)
        async with target.client() as client:
            await client.judged(request("witness 1", agent_answer="another"))
        assert await target.stack.stored("witness 1", GOOD) == theirs

    async def test_an_initiator_that_is_named_in_a_message_is_no_initiator(self, target: Target) -> None:
        target.accepted.add("abc123")
        async with target.client() as client:
            await client.judged(request("abc123", initiator_id=GOOD, initiator=GOOD))
            answer = await client.ask({"type": "resume", "request_id": "witness 1", "initiator_id": GOOD})
            assert answer["code"] == "unknown_request"


class TestTokens:
    @pytest.mark.parametrize("of", ["nobody", "nothing", "a voter", "control characters", "a megabyte"])
    async def test_one_that_is_none(self, target: Target, of: str) -> None:
        token = {
            "nobody": new_token("i", os.urandom(ENTROPY)),
            "nothing": "",
            "a voter": new_token("v", os.urandom(ENTROPY)),
            "control characters": "magi_i_\x00\x1b[31m\r\n",
            "a megabyte": "magi_i_" + "x" * 200_000,
        }[of]
        assert await by_message(target, token) == ("invalid_message" if "\0" in token else "unauthorized")
        if token.isprintable() and 0 < len(token) < 1_000:
            assert await status(target, token) == 401

    async def test_one_that_was_revoked_lets_nobody_in_again(self, target: Target) -> None:
        token = await target.stack.issue_token(BAD)
        async with Client.connect(target.port, token) as client:
            assert await client.silent()
            await target.stack.revoke_token(BAD, token)
            assert await client.closed() == 4507
        assert await status(target, token) == 401
        assert await by_message(target, token) == "unauthorized"

    async def test_one_that_was_replaced_lets_nobody_in_again(self, target: Target) -> None:
        token = await replaced(target.stack)
        assert await status(target, token) == 401
        assert await by_message(target, token) == "unauthorized"

    async def test_one_that_was_revoked_is_no_second_one(self, target: Target) -> None:
        old = await replaced(target.stack)
        async with target.client() as client:
            assert await client.ask({"type": "authenticate", "token": old}) == error("unauthorized", UNKNOWN)
            assert await client.silent()

    async def test_one_of_another_initiator_changes_nothing(self, target: Target) -> None:
        other = await target.stack.add_initiator("other")
        async with target.client() as client:
            assert await client.ask({"type": "authenticate", "token": other}) == error("unauthorized", UNKNOWN)
            target.accepted.add("abc123")
            await client.judged(request())
            assert await target.stack.stored("abc123", "other") == []

    async def test_the_same_twice_is_harmless(self, target: Target) -> None:
        target.accepted.add("abc123")
        async with target.client() as client:
            await client.send(request(metadata={"voter_1": "held"}))
            await client.until_type("acknowledged")
            await client.send({"type": "authenticate", "token": target.token})
            await client.until_type("authenticated")
            target.stack.release("abc123")
            assert (await client.until_type("final_result"))[-1]["seq"] == 8

    async def test_one_in_the_address_is_none(self, target: Target) -> None:
        """Addresses are written to logs."""
        async with Client.connect(target.port, path=f"/v1/initiator?token={target.token}") as client:
            assert (await client.ask({"type": "ping"}))["code"] == "unauthorized"

    async def test_guesses_end_after_ten(self, target: Target) -> None:
        async with Client.connect(target.port) as client:
            for _ in range(10):
                guess = {"type": "authenticate", "token": new_token("i", os.urandom(ENTROPY))}
                assert (await client.ask(guess))["code"] == "unauthorized"
            assert await client.closed() == 4505


class TestBeforeAuthentication:
    @pytest.mark.parametrize("kind", ["request", "resume", "get_voters", "ping"])
    async def test_no_message_is_answered(self, target: Target, kind: str) -> None:
        async with Client.connect(target.port) as client:
            answer = await client.ask({**request("witness 1"), "type": kind})
            assert answer["code"] == "unauthorized"
            assert "voters" not in answer

    async def test_what_was_sent_before_is_not_done_afterwards(self, target: Target) -> None:
        async with Client.connect(target.port) as client:
            await client.send(request("early"))
            await client.send({"type": "authenticate", "token": target.token})
            assert [(await client.receive())["type"] for _ in range(2)] == ["error", "authenticated"]
            assert await client.silent()
