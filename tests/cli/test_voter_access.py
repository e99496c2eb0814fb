from pathlib import Path

import pytest

from magi.cli.voter_access import NotLetIn, nats_user, wait_until_let_in
from magi.domain.ids import VoterId
from magi.embedded import nkey
from magi.eventstore.bus import Bus, NoAck
from tests.servers import NatsServer

VOTER = VoterId("far-away")


async def test_the_entry_is_one_that_nats_server_reads_and_keeps_to(tmp_path: Path) -> None:
    public, seed = nkey.generate()
    with NatsServer(tmp_path, config=f"authorization {{ users: [{nats_user(VOTER, public)}] }}") as server:
        await wait_until_let_in(server.url, VOTER, seed)
        bus = await Bus.connect(server.url, name="t", seed=seed, inbox_prefix=f"_INBOX_{VOTER}")
        try:
            with pytest.raises(NoAck):
                await bus.request("$JS.API.INFO", timeout=0.3)
        finally:
            await bus.close()


async def test_a_key_that_nobody_knows_is_told_after_a_while(tmp_path: Path) -> None:
    known, _ = nkey.generate()
    _, seed = nkey.generate()
    config = f"authorization {{ users: [{nats_user(VOTER, known)}] }}"
    with NatsServer(tmp_path, config=config) as server, pytest.raises(NotLetIn, match="doesn't let far-away in"):
        await wait_until_let_in(server.url, VOTER, seed, within=0.2)
