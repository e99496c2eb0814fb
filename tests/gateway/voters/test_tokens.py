"""A voter's token: good for its own votes, until it expires."""

import os

import pytest
from websockets.exceptions import InvalidStatus

from magi.domain.clock import rfc3339
from magi.domain.ids import VoterId, voter_aggregate
from magi.domain.tokens import ENTROPY, new_token, token_hash, token_id
from magi.domain.voter import VoterTokenIssued
from magi.eventstore.presence import now_ms
from tests.gateway.voters.office import Office
from tests.waiting import until


async def test_an_open_connection_is_closed_with_4005_and_a_new_one_refused(office: Office) -> None:
    token = await office.issue_token("ada", expires=rfc3339(now_ms() + 500))
    async with office.voter(1, token) as expiring, office.voter(1) as other:
        assert await expiring.closed() == 4005
        assert await other.silent()
    with pytest.raises(InvalidStatus, match="401"):
        async with office.voter(1, token):
            pass


async def test_a_token_for_the_votes_of_another_is_refused(office: Office) -> None:
    """The directory could hold one: nothing issues it."""
    store, name = office.world.directory, voter_aggregate(VoterId("ada"))
    token = new_token("v", os.urandom(ENTROPY))
    digest = token_hash(token)
    head = (await store.load(name))[-1].head
    issued = VoterTokenIssued(token_id=token_id(digest), sha256=digest, scopes=("vote:eve",), by="test")
    await store.append(name, [issued], head)

    async def known() -> bool:
        return office.gateway._directory.directory.authenticate_voter(digest) is not None

    await until(known, "the gateway knows it")
    with pytest.raises(InvalidStatus, match="401"):
        async with office.voter(1, token):
            pass
