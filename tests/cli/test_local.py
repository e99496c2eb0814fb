from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from magi.cli.local import ensure_local_initiator, issue_token, nats_users, register_builtin
from magi.cli.local_token import LOCAL, token_file
from magi.domain import initiator as initiators
from magi.domain import voter_commands as voters
from magi.domain.ids import VoterId
from magi.domain.tokens import token_hash
from magi.embedded import nkey
from magi.eventstore.bus import Bus
from magi.eventstore.declarations import load_declarations
from magi.eventstore.directory import DirectoryLog, DirectoryView, change_initiator, change_voter, directory_log
from magi.eventstore.streams import apply
from tests.servers import NatsServer
from tests.waiting import until

NOW = 1_769_860_800_000


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    return tmp_path


@pytest.fixture
async def store(nats_server: NatsServer) -> AsyncIterator[DirectoryLog]:
    bus = await Bus.connect(nats_server.url, name="t")
    await apply(bus.nc, load_declarations())
    store = directory_log(bus)
    await store.start()
    yield store
    await bus.close()


@pytest.fixture
async def view(store: DirectoryLog) -> AsyncIterator[DirectoryView]:
    view = DirectoryView(store.bus)
    await view.start()
    yield view
    await view.stop()


async def catch_up(store: DirectoryLog, view: DirectoryView) -> None:
    """Wait until the view knows of every event that is stored now."""
    stored = await store.last_sequence()

    async def done() -> bool:
        versions = [voter.version for voter in view.directory.voters.values()]
        versions += [initiator.version for initiator in view.directory.initiators.values()]
        return sum(versions) >= stored

    await until(done, "the view has caught up")


async def test_the_local_token_is_made_once(store: DirectoryLog, view: DirectoryView, data: Path) -> None:
    await ensure_local_initiator(store, view, data)
    await catch_up(store, view)
    token = token_file(data).read_text().strip()
    principal = view.directory.authenticate(token_hash(token))
    assert principal
    assert principal.initiator_id == LOCAL
    assert token_file(data).stat().st_mode & 0o077 == 0
    await ensure_local_initiator(store, view, data)
    assert token_file(data).read_text().strip() == token


@pytest.mark.parametrize("content", ["", "nonsense", "magi_i_000000000000000000000000000000000000"])
async def test_a_token_file_that_holds_no_valid_token_gets_a_new_one(
    store: DirectoryLog, view: DirectoryView, data: Path, content: str
) -> None:
    await ensure_local_initiator(store, view, data)
    await catch_up(store, view)
    token_file(data).write_text(content)
    await ensure_local_initiator(store, view, data)
    await catch_up(store, view)
    assert view.directory.authenticate(token_hash(token_file(data).read_text().strip()))


async def test_a_local_initiator_that_was_revoked_stays_so(
    store: DirectoryLog, view: DirectoryView, data: Path
) -> None:
    await ensure_local_initiator(store, view, data)
    await change_initiator(store, initiators.Revoke(LOCAL, "", "t", NOW))
    await catch_up(store, view)
    await ensure_local_initiator(store, view, data)
    assert not token_file(data).exists()


async def test_a_token_is_known_by_its_hash_only(store: DirectoryLog, view: DirectoryView) -> None:
    await change_initiator(store, initiators.Register("i", "", "t", NOW))
    token = await issue_token(store, "i", "t")
    await catch_up(store, view)
    assert view.directory.authenticate(token_hash(token))
    assert not view.directory.authenticate(token)


async def test_built_in_voters_are_registered_once(store: DirectoryLog, view: DirectoryView) -> None:
    for _ in range(2):
        await register_builtin(store, ["melchior"], "default")
    await catch_up(store, view)
    assert view.directory.voters[VoterId("melchior")].version == 1


async def test_voters_with_keys_are_let_in_until_they_are_revoked(store: DirectoryLog, view: DirectoryView) -> None:
    keys = {name: nkey.generate()[0] for name in ("kept", "paused", "gone")}
    for name, key in keys.items():
        await change_voter(store, voters.Register(name, "nats", "", "default", key, "t", NOW))
    await change_voter(store, voters.Suspend("paused", "", "t", NOW))
    await change_voter(store, voters.Revoke("gone", "", "t", NOW))
    await register_builtin(store, ["melchior"], "default")
    await catch_up(store, view)
    assert {user.public_key for user in nats_users(view.directory)} == {keys["kept"], keys["paused"]}
