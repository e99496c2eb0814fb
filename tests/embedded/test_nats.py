import asyncio
import json
import os
import signal
import socket
import stat
from collections.abc import AsyncIterator

import nats
import nats.errors
import pytest
from nats.aio.client import Client

from magi.embedded import nats as embedded_nats
from magi.embedded import unwritable
from magi.embedded.datadir import DataDir
from magi.embedded.errors import ServerStartError, UsersRefused
from magi.embedded.monitor import get
from magi.embedded.nats import EmbeddedNats
from magi.embedded.nkey import generate
from magi.embedded.supervisor import ServerRestarted
from magi.embedded.users import NatsUser
from tests.embedded.processes import alive, listens_on
from tests.waiting import until


@pytest.fixture
async def server(data: DataDir) -> AsyncIterator[EmbeddedNats]:
    embedded = EmbeddedNats(data)
    await embedded.start()
    yield embedded
    await embedded.stop()


async def as_magi(server: EmbeddedNats) -> Client:
    return await nats.connect(server.url, nkeys_seed=str(server.seed_file), reconnect_time_wait=0.01)


class Voter:
    """A connection with a voter's key, and what the server held against it."""

    def __init__(self, server: EmbeddedNats, seed: str) -> None:
        self.complaints: list[str] = []
        self.closed = asyncio.Event()
        self._server, self._seed = server, seed

    async def connect(self) -> Client:
        async def complaint(error: Exception) -> None:
            self.complaints.append(str(error))

        async def closed() -> None:
            self.closed.set()

        return await nats.connect(
            self._server.url,
            nkeys_seed_str=self._seed,
            inbox_prefix=b"_INBOX_v",
            allow_reconnect=False,
            error_cb=complaint,
            closed_cb=closed,
        )


async def monitored(server: EmbeddedNats, path: str) -> dict[str, object]:
    _, body = await get(server.monitor_port, path)
    found: dict[str, object] = json.loads(body)
    return found


async def test_magi_itself_may_do_everything_once_it_has_started(server: EmbeddedNats) -> None:
    client = await as_magi(server)
    assert (await client.jetstream().account_info()).streams == 0
    await client.close()


async def test_nobody_gets_in_without_a_key(server: EmbeddedNats) -> None:
    with pytest.raises(nats.errors.Error, match="Authorization"):
        await nats.connect(server.url, allow_reconnect=False)
    with pytest.raises(nats.errors.Error, match="Authorization"):
        await nats.connect(server.url, nkeys_seed_str=generate()[1], allow_reconnect=False)


async def test_the_seed_is_for_this_user_only(server: EmbeddedNats) -> None:
    assert stat.S_IMODE(server.seed_file.stat().st_mode) == 0o600


async def test_both_ports_are_on_loopback_only(server: EmbeddedNats) -> None:
    assert listens_on(server.port) == {"0100007F"}
    assert listens_on(server.monitor_port) == {"0100007F"}


async def test_the_configuration_is_what_the_file_says(server: EmbeddedNats) -> None:
    varz = await monitored(server, "/varz")
    assert varz["server_name"] == "magi"
    assert varz["max_payload"] == 4 * 1024 * 1024
    assert varz["ping_interval"] == 20 * 10**9
    assert varz["write_deadline"] == 10 * 10**9
    jetstream = (await monitored(server, "/jsz"))["config"]
    assert isinstance(jetstream, dict)
    assert jetstream["sync_always"] is True
    assert jetstream["max_memory"] == 64 * 1024 * 1024


async def test_the_sync_interval_and_the_most_bytes_are_settings(data: DataDir) -> None:
    server = EmbeddedNats(data, sync_interval="2m", max_file_store=10_000_000)
    await server.start()
    jetstream = (await monitored(server, "/jsz"))["config"]
    await server.stop()
    assert isinstance(jetstream, dict)
    assert "sync_always" not in jetstream
    assert jetstream["sync_interval"] == 120 * 10**9
    assert jetstream["max_storage"] == 10_000_000


@pytest.mark.parametrize("sync_interval", ["", "never", "2", "-1s", "0s", "2m }", "always\n"])
async def test_a_sync_interval_that_is_none_is_refused(data: DataDir, sync_interval: str) -> None:
    with pytest.raises(ValueError, match="sync_interval"):
        EmbeddedNats(data, sync_interval=sync_interval)


async def test_a_path_may_hold_anything_printable(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("odd") / 'a "b" $HOME #c {d} \\e é'
    with DataDir.open(path) as data:
        server = EmbeddedNats(data)
        await server.start()
        client = await as_magi(server)
        await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
        await client.close()
        await server.stop()
        assert (data.nats / "jetstream" / "MAGI" / "streams" / "KEPT").is_dir()


async def test_a_killed_server_comes_back_on_its_ports_with_its_data(data: DataDir) -> None:
    restarts: asyncio.Queue[ServerRestarted] = asyncio.Queue()
    server = EmbeddedNats(data, on_restart=restarts.put_nowait)
    await server.start()
    url, monitor_url, pid = server.url, server.monitor_url, server.pid
    assert pid is not None
    client = await as_magi(server)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
    for number in range(10):
        await client.jetstream().publish("kept", str(number).encode())
    os.kill(pid, signal.SIGKILL)
    restarted = await asyncio.wait_for(restarts.get(), 30)
    assert restarted.exit_code == -signal.SIGKILL
    assert (server.url, server.monitor_url) == (url, monitor_url)
    assert server.pid != pid

    async def reconnected() -> bool:
        return client.is_connected

    await until(reconnected, "the client has found it again")
    assert (await client.jetstream().stream_info("KEPT")).state.messages == 10
    await client.close()
    await server.stop()


async def test_a_server_that_hangs_instead_of_ending_for_a_restart_is_killed(
    data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unwritable, "EVERY", 0.02)
    monkeypatch.setattr(unwritable, "ROOM", 1)
    monkeypatch.setattr(embedded_nats, "RESTART", ((signal.SIGTERM, 0.3),))
    restarts: asyncio.Queue[ServerRestarted] = asyncio.Queue()
    server = EmbeddedNats(data, on_restart=restarts.put_nowait)
    await server.start()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)  # it heeds no SIGTERM now

    async def said_until_restarted() -> bool:
        with (data.logs / "nats-server.log").open("ab") as file:
            file.write(b"[ERR] Filestore [MAGI_LOG] Critical write error: input/output error\n")
        return not restarts.empty()

    await until(said_until_restarted, "it is killed and started again", 30)
    assert restarts.get_nowait().exit_code == -signal.SIGKILL
    await server.stop()


async def test_the_next_start_takes_the_same_ports_and_keys(data: DataDir) -> None:
    seen = []
    for _ in range(2):
        server = EmbeddedNats(data)
        await server.start()
        seen.append((server.url, server.monitor_url, server.seed_file.read_text()))
        await server.stop()
    assert seen[0] == seen[1]


async def test_the_next_start_takes_other_ports_when_those_are_taken(data: DataDir) -> None:
    first = EmbeddedNats(data)
    await first.start()
    await first.stop()
    with socket.create_server(("127.0.0.1", first.port)):
        second = EmbeddedNats(data)
        await second.start()
        assert second.port != first.port
        await second.stop()


async def test_a_start_that_fails_says_what_the_server_said(data: DataDir) -> None:
    (data.nats / "jetstream").write_text("in the way")
    server = EmbeddedNats(data)
    with pytest.raises(ServerStartError, match="not a directory") as failed:
        await server.start()
    assert failed.value.server == "nats-server"
    assert "storage directory" in failed.value.log_tail


async def test_a_cancelled_start_leaves_no_process(data: DataDir) -> None:
    server = EmbeddedNats(data)
    start = asyncio.create_task(server.start())
    note = data.run / "nats-server.json"

    async def spawned() -> bool:
        return note.exists()

    await until(spawned, "the process was started")
    pid = json.loads(note.read_bytes())["pid"]
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not alive(pid)


async def test_a_voter_publishes_and_hears_only_its_own(server: EmbeddedNats) -> None:
    public, seed = generate()
    await server.set_users([NatsUser(public, publish=("ballot.v",), subscribe=("_INBOX_v.>",))])
    magi = await as_magi(server)
    heard = await magi.subscribe("ballot.>")
    await magi.flush()
    voter = Voter(server, seed)
    client = await voter.connect()
    await client.publish("ballot.w", b"not its own")
    await client.publish("ballot.v", b"its own")
    await client.subscribe("ballot.w")
    await client.flush()
    assert (await heard.next_msg(5)).data == b"its own"

    async def complained() -> bool:
        return len(voter.complaints) == 2

    await until(complained, "both violations were told")
    assert 'publish to "ballot.w"' in voter.complaints[0]
    assert 'subscription to "ballot.w"' in voter.complaints[1]
    await client.close()
    await magi.close()


async def test_a_user_without_subjects_may_do_nothing(server: EmbeddedNats) -> None:
    public, seed = generate()
    await server.set_users([NatsUser(public, publish=(), subscribe=())])
    voter = Voter(server, seed)
    client = await voter.connect()
    await client.publish("anything", b"")
    await client.subscribe("anything")
    await client.flush()

    async def complained() -> bool:
        return len(voter.complaints) == 2

    await until(complained, "both violations were told")
    await client.close()


async def test_a_removed_user_is_cut_off_and_the_others_are_not(server: EmbeddedNats) -> None:
    (stays, stays_seed), (goes, goes_seed) = generate(), generate()
    rights = {"publish": ("a",), "subscribe": ("_INBOX_v.>",)}
    await server.set_users([NatsUser(stays, **rights), NatsUser(goes, **rights)])
    magi, one, other = await as_magi(server), Voter(server, stays_seed), Voter(server, goes_seed)
    first, _ = await one.connect(), await other.connect()
    await server.set_users([NatsUser(stays, **rights)])
    await asyncio.wait_for(other.closed.wait(), 30)
    with pytest.raises(nats.errors.Error, match="Authorization"):
        await Voter(server, goes_seed).connect()
    await first.flush()
    await magi.flush()
    assert not one.closed.is_set()
    assert one.complaints == []
    await first.close()
    await magi.close()


async def test_streams_from_before_there_were_accounts_are_taken_over(data: DataDir) -> None:
    server = EmbeddedNats(data)
    await server.start()
    client = await as_magi(server)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
    await client.jetstream().publish("kept", b"from before")
    await client.close()
    await server.stop()
    (data.nats / "jetstream" / "MAGI").rename(data.nats / "jetstream" / "$G")
    server = EmbeddedNats(data)
    await server.start()
    try:
        client = await as_magi(server)
        assert (await client.jetstream().get_msg("KEPT", 1)).data == b"from before"
        await client.close()
    finally:
        await server.stop()


async def test_components_are_users_beside_those_that_are_set(data: DataDir) -> None:
    component, voter = generate(), generate()
    rights = NatsUser(component[0], publish=("a",), subscribe=("_INBOX.>",))
    server = EmbeddedNats(data, components=[rights])
    await server.start()
    await server.set_users([NatsUser(voter[0], publish=("b",), subscribe=())])
    await server.stop()
    server = EmbeddedNats(data, components=[rights])  # and not twice, though the file of the last run has it
    await server.start()
    try:
        for seed in (component[1], voter[1]):
            await (await nats.connect(server.url, nkeys_seed_str=seed)).close()
    finally:
        await server.stop()


async def test_users_outlive_a_restart_of_magi(data: DataDir) -> None:
    public, seed = generate()
    server = EmbeddedNats(data)
    await server.start()
    await server.set_users([NatsUser(public, publish=("a",), subscribe=())])
    await server.stop()
    server = EmbeddedNats(data)
    await server.start()
    await (await Voter(server, seed).connect()).close()
    await server.stop()
    server = EmbeddedNats(data, users=())
    await server.start()
    with pytest.raises(nats.errors.Error, match="Authorization"):
        await Voter(server, seed).connect()
    await server.stop()


async def test_users_set_while_the_server_is_down_are_in_force_when_it_is_back(data: DataDir) -> None:
    restarts: asyncio.Queue[ServerRestarted] = asyncio.Queue()
    server = EmbeddedNats(data, on_restart=restarts.put_nowait)
    await server.start()
    public, seed = generate()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await server.set_users([NatsUser(public, publish=("a",), subscribe=())])
    await asyncio.wait_for(restarts.get(), 30)
    await (await Voter(server, seed).connect()).close()
    await server.stop()


async def test_users_that_the_server_refuses_change_nothing(server: EmbeddedNats) -> None:
    public, seed = generate()
    await server.set_users([NatsUser(public, publish=("a",), subscribe=())])
    wrong_checksum = "U" + "A" * 55
    with pytest.raises(UsersRefused, match="Not a valid public nkey"):
        await server.set_users([NatsUser(wrong_checksum, publish=("a",), subscribe=())])
    await (await Voter(server, seed).connect()).close()
    assert wrong_checksum not in (server.seed_file.parents[1] / "nats" / "users.conf").read_text()
