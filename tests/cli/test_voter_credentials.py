"""Keys and tokens that change: the old ones are worth nothing at once."""

import asyncio

from magi.domain.tokens import token_hash, token_id
from magi.eventstore.bus import Bus, CannotConnect
from tests.cli.commands import magi
from tests.cli.serving import Serve
from tests.cli.test_voter_registration import GROUP, shown
from tests.cli.test_voters import told
from tests.waiting import until


async def connect(serve: Serve, voter: str, seed: str) -> Bus:
    return await Bus.connect(serve.nats_url, name="t", seed=seed, inbox_prefix=f"_INBOX_{voter}", attempts=5)


async def test_another_key_lets_in_and_the_old_one_is_cut_off_and_refused(serve: Serve) -> None:
    added = await told(serve, "voters", "add", "cred-key", "--kind", "nats", *GROUP)
    old = added.split()[-1].decode()
    bus = await connect(serve, "cred-key", old)
    try:
        rotated = await told(serve, "voters", "rotate-key", "cred-key", "--reason", "may have been seen")
        assert b"nats-server lets it in" in rotated
        # It isn't asked whether it may come back: whoever is refused for good gives up.
        await asyncio.wait_for(bus.closed.wait(), 30)
        new = await connect(serve, "cred-key", rotated.split()[-1].decode())
        assert b"voter-cred-key" in await new.request("$JS.API.CONSUMER.INFO.MAGI_TASKS.voter-cred-key")
        await new.close()

        async def refused() -> bool:
            try:
                await (await connect(serve, "cred-key", old)).close()
            except CannotConnect:
                return True
            return False

        await until(refused, "the old key is refused")
    finally:
        await bus.close()


def test_a_key_is_for_voters_on_the_bus(serve: Serve) -> None:
    magi("voters", "add", "cred-person", "--kind", "person", *GROUP, data=serve.data)
    refused = magi("voters", "rotate-key", "cred-person", data=serve.data)
    assert (refused.code, refused.stdout) == (2, "")
    assert "of the kind person: it has no key" in refused.stderr


def test_tokens_are_issued_and_revoked_one_by_one(serve: Serve) -> None:
    magi("voters", "add", "cred-token", "--kind", "websocket", *GROUP, data=serve.data)
    [first] = [token["token_id"] for token in shown(serve, "cred-token")["tokens"]]
    assert magi("voters", "token", "cred-token", data=serve.data).last_word.startswith("magi_v_")
    assert len(shown(serve, "cred-token")["tokens"]) == 2
    revoked = magi("voters", "revoke-token", "cred-token", first, "--reason", "lost", data=serve.data)
    assert revoked.stdout == f"The token {first} of voter cred-token is revoked.\n"
    card = shown(serve, "cred-token")
    assert first not in [token["token_id"] for token in card["tokens"]]
    assert card["history"][-1]["why"] == "lost"
    again = magi("voters", "revoke-token", "cred-token", first, data=serve.data)
    assert (again.code, again.stderr) == (2, f"magi: voter 'cred-token' has no valid token '{first}'\n")


def test_rotating_a_token_lets_the_others_expire(serve: Serve) -> None:
    magi("voters", "add", "cred-rotate", "--kind", "websocket", *GROUP, data=serve.data)
    rotated = magi("voters", "rotate-token", "cred-rotate", "--overlap", "0s", "--expires", "30d", data=serve.data)
    old, new = shown(serve, "cred-rotate")["tokens"]
    assert (old["expired"], new["expired"], new["token_id"]) == (True, False, token_id(token_hash(rotated.last_word)))
    assert new["scopes"] == ["vote:cred-rotate"]
    assert new["expires"] > new["issued"]
    assert new["expires"] in magi("voters", "show", "cred-rotate", data=serve.data).stdout


def test_a_voter_without_a_gateway_needs_no_token(serve: Serve) -> None:
    magi("voters", "add", "cred-nats", "--kind", "nats", *GROUP, data=serve.data)
    assert "it needs no token" in magi("voters", "token", "cred-nats", data=serve.data).stderr
