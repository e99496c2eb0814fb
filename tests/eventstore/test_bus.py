"""The bus: what a publish comes back with, and what becomes of a connection that is refused, lost or ended."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import nkeys
import pytest
from nats.aio.msg import Msg

from magi.eventstore.bus import TOO_LARGE, Bus, BusError, CannotConnect, NoAck, NoStream, Rejected
from magi.eventstore.log import EXPECTED
from tests.eventstore.logs import api, make_stream
from tests.proxy import Proxy
from tests.servers import NatsServer
from tests.waiting import until


def new_key() -> tuple[str, str]:
    """The seed of a fresh user nkey, and the public key that it proves."""
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    return seed.decode(), nkeys.from_seed(bytearray(seed)).public_key.decode()


def users(*keys: str) -> str:
    return f"authorization {{ users = [{', '.join(f'{{nkey: {key}}}' for key in keys)}] }}"


# --- Publishing -------------------------------------------------------------------------------------------------------


async def test_store_returns_where_the_message_was_stored(bus: Bus, log_stream: str) -> None:
    acks = [await bus.store("test.log.a", b"x"), await bus.store("test.log.b", b"y")]
    assert [(ack.stream, ack.seq, ack.duplicate) for ack in acks] == [(log_stream, 1, False), (log_stream, 2, False)]


async def test_a_message_id_makes_a_repetition_a_duplicate(bus: Bus, log_stream: str) -> None:
    first = await bus.store("test.log.a", b"x", {"Nats-Msg-Id": "1"})
    again = await bus.store("test.log.a", b"x", {"Nats-Msg-Id": "1"})
    assert (again.seq, again.duplicate) == (first.seq, True)


async def test_a_refusal_carries_the_servers_code(bus: Bus, log_stream: str) -> None:
    await bus.store("test.log.a", b"x")
    with pytest.raises(Rejected, match="wrong last sequence: 1") as refusal:
        await bus.store("test.log.a", b"y", {EXPECTED: "0"})
    assert (refusal.value.code, refusal.value.err_code) == (400, 10071)


async def test_no_stream_takes_the_subject(bus: Bus) -> None:
    with pytest.raises(NoStream):
        await bus.store("nobody.listens", b"x")


async def test_thousands_of_publishes_at_once_all_get_their_own_answer(bus: Bus, log_stream: str) -> None:
    acks = await asyncio.gather(*(bus.store(f"test.log.{n}", b"x") for n in range(3000)))
    assert sorted(ack.seq for ack in acks) == list(range(1, 3001))


async def test_an_acknowledgement_that_does_not_come_is_given_up(proxy: Proxy, shaky: Bus, log_stream: str) -> None:
    proxy.lose_answers()
    started = time.monotonic()
    with pytest.raises(NoAck, match="in time"):
        await shaky.store("test.log.a", b"x", timeout=0.1)
    assert 0.1 <= time.monotonic() - started < 30.0


async def test_a_lost_connection_ends_the_waiting_at_once(proxy: Proxy, shaky: Bus, log_stream: str) -> None:
    proxy.lose_answers()
    storing = asyncio.create_task(shaky.store("test.log.a", b"x", timeout=60))

    async def arrived() -> bool:
        return proxy.lost > 0

    await until(arrived, "the acknowledgement is lost")
    proxy.cut()
    with pytest.raises(NoAck, match="lost"):
        await asyncio.wait_for(storing, 30)


async def test_a_publish_during_an_outage_waits_for_the_connection(fresh_nats: NatsServer) -> None:
    bus = await Bus.connect(fresh_nats.url, name="test")
    await make_stream(bus, "TEST_LOG", "test.log.>")
    fresh_nats.stop()
    await until_disconnected(bus)
    storing = asyncio.create_task(bus.store("test.log.a", b"x"))
    fresh_nats.start()
    assert (await storing).seq == 1
    await bus.close()


async def test_a_publish_that_was_given_up_during_an_outage_is_not_stored_after_it(fresh_nats: NatsServer) -> None:
    bus = await Bus.connect(fresh_nats.url, name="test")
    await make_stream(bus, "TEST_LOG", "test.log.>")
    fresh_nats.stop()
    await until_disconnected(bus)
    with pytest.raises(NoAck, match="not connected"):
        await bus.store("test.log.a", b"given up", timeout=0.05)
    fresh_nats.start()
    assert (await bus.store("test.log.a", b"x")).seq == 1
    await bus.close()


@pytest.mark.parametrize("headers", [None, {"Header": "x" * 60}])
async def test_what_is_too_large_is_rejected_and_the_connection_lives_on(
    bus: Bus, log_stream: str, headers: dict[str, str] | None
) -> None:
    data = b"x" * (bus.nc.max_payload + (1 if headers is None else -50))
    with pytest.raises(Rejected) as refusal:
        await bus.store("test.log.a", data, headers)
    assert refusal.value.err_code == TOO_LARGE
    assert (await bus.store("test.log.a", data[:-1] if headers is None else data[:-50], headers)).seq == 1
    assert bus.reconnects == 0


async def test_a_subscriber_gets_what_is_published_in_order(bus: Bus) -> None:
    got: asyncio.Queue[Msg] = asyncio.Queue()
    await bus.subscribe("news.*", got.put)
    await bus.publish("news.a", b"1", reply="answer.here", headers={"Kind": "x"})
    await bus.publish("news.b", b"2")
    first, second = [await asyncio.wait_for(got.get(), 30) for _ in range(2)]
    assert (first.subject, first.data, first.reply, first.headers) == ("news.a", b"1", "answer.here", {"Kind": "x"})
    assert (second.subject, second.data, second.reply, second.headers) == ("news.b", b"2", "", None)


async def test_a_request_is_answered(bus: Bus) -> None:
    assert b"streams" in await bus.request("$JS.API.INFO")


async def test_a_request_that_nobody_serves_says_so(bus: Bus) -> None:
    with pytest.raises(NoStream, match=r"nobody answers no\.such\.service"):
        await bus.request("no.such.service")


async def test_a_request_without_an_answer_is_given_up(bus: Bus) -> None:
    async def ignore(_: object) -> None:
        pass

    await bus.subscribe("deaf", ignore)
    with pytest.raises(NoAck, match="no answer from deaf"):
        await bus.request("deaf", timeout=0.05)


async def test_a_closed_bus_publishes_nothing(nats_server: NatsServer) -> None:
    bus = await Bus.connect(nats_server.url, name="test")
    await bus.close()
    with pytest.raises(NoAck):
        await bus.store("test.log.a", b"x")
    with pytest.raises(NoAck):
        await bus.publish("a")
    with pytest.raises(NoAck):
        await bus.request("a")


# --- Connecting -------------------------------------------------------------------------------------------------------


async def test_a_wrong_port_is_told_at_once_and_named() -> None:
    started = time.monotonic()
    with pytest.raises(
        CannotConnect, match=r"can't connect to NATS at nats://127\.0\.0\.1:1: .*refused|.*127.*1.*failed"
    ):
        await Bus.connect("nats://127.0.0.1:1", name="test")
    assert time.monotonic() - started < 30.0, "and not tried again and again"


@pytest.mark.parametrize("url", ["nats://127.0.0.1:port", "nats://no-such-host.invalid:4222"])
async def test_a_url_that_leads_nowhere_is_named(url: str) -> None:
    with pytest.raises(CannotConnect, match=url):
        await Bus.connect(url, name="test")


async def test_several_attempts_wait_for_a_server_that_is_being_started(fresh_nats: NatsServer) -> None:
    fresh_nats.stop()
    connecting = asyncio.create_task(Bus.connect(fresh_nats.url, name="test", attempts=30))
    await asyncio.sleep(0)
    fresh_nats.start()
    bus = await connecting
    assert bus.nc.is_connected
    await bus.close()


async def test_only_who_proves_the_nkey_is_let_in(tmp_path: Path) -> None:
    seed, key = new_key()
    other, _ = new_key()
    with NatsServer(tmp_path, config=users(key)) as server:
        bus = await Bus.connect(server.url, name="test", seed=seed)
        assert bus.nc.is_connected
        await bus.close()
        with pytest.raises(CannotConnect, match="Authorization Violation") as refusal:
            await Bus.connect(server.url, name="test", seed=other)
        assert other not in str(refusal.value)
        with pytest.raises(CannotConnect, match="Authorization Violation"):
            await Bus.connect(server.url, name="test")


@pytest.mark.parametrize("seed", ["", "SUNOSEED", "UA" + "A" * 56, "not/base32!"])
async def test_what_is_no_seed_is_told_without_repeating_it(nats_server: NatsServer, seed: str) -> None:
    with pytest.raises(CannotConnect, match="no nkey seed") as refusal:
        await Bus.connect(nats_server.url, name="test", seed=seed)
    assert not seed or seed not in str(refusal.value)


async def test_acknowledgements_come_to_the_inbox_that_one_may_read(tmp_path: Path) -> None:
    seed, key = new_key()
    permissions = '{publish: ">", subscribe: "_INBOX_mine.>"}'
    config = f"authorization {{ users = [{{nkey: {key}, permissions: {permissions}}}] }}"
    with NatsServer(tmp_path, config=config) as server:
        bus = await Bus.connect(server.url, name="test", seed=seed, inbox_prefix="_INBOX_mine")
        await make_stream(bus, "TEST_LOG", "test.log.>")
        assert (await bus.store("test.log.a", b"x")).seq == 1
        await bus.close()


# --- Losing the connection --------------------------------------------------------------------------------------------


async def until_disconnected(bus: Bus) -> None:
    async def disconnected() -> bool:
        return not bus.connected  # a moment later than nats-py: what is asked in between is given up at once

    await until(disconnected, "the client has noticed")


async def test_it_tries_to_reconnect_for_ever_and_subscriptions_live_on(fresh_nats: NatsServer) -> None:
    async with Proxy(fresh_nats.port) as proxy:
        bus = await Bus.connect(proxy.url, name="test")
        got: asyncio.Queue[Msg] = asyncio.Queue()
        told = asyncio.Event()

        async def reconnected() -> None:
            await bus.publish("news", b"from the callback")
            told.set()

        await bus.subscribe("news", got.put)
        bus.on_reconnected.append(reconnected)
        fresh_nats.stop()
        tries = proxy.connections

        async def tried_often() -> bool:
            return proxy.connections >= tries + 5  # nats-py's first connection is allowed two tries

        await until(tried_often, "it tries again and again")
        assert not bus.closed.is_set()
        fresh_nats.start()
        await asyncio.wait_for(told.wait(), 30)
        assert (await asyncio.wait_for(got.get(), 30)).data == b"from the callback"
        assert bus.reconnects == 1
        await bus.close()


async def test_a_callback_that_fails_keeps_nobody_from_being_told(proxy: Proxy, shaky: Bus) -> None:
    told = asyncio.Event()
    lost = asyncio.Event()

    async def fail() -> None:
        raise RuntimeError("a reader of its own")

    async def tell() -> None:
        told.set()

    async def lose() -> None:
        lost.set()

    shaky.on_disconnected += [fail, lose]
    shaky.on_reconnected += [fail, tell]
    proxy.cut()
    await asyncio.wait_for(told.wait(), 30)
    assert lost.is_set()
    assert b"streams" in await shaky.request("$JS.API.INFO")


async def test_a_callback_may_remove_itself(proxy: Proxy, shaky: Bus) -> None:
    told: list[str] = []
    done = asyncio.Event()

    async def once() -> None:
        told.append("once")
        shaky.on_reconnected.remove(once)

    async def always() -> None:
        told.append("always")
        done.set()

    shaky.on_reconnected += [once, always]
    for _ in range(2):
        done.clear()
        proxy.cut()
        await asyncio.wait_for(done.wait(), 30)
    assert told == ["once", "always", "always"]


async def test_a_client_that_the_server_throws_out_is_closed_for_good(bus: Bus, log_stream: str) -> None:
    # Our own publish would refuse this; nats-py doesn't count headers, and an error that it doesn't know ends it.
    await bus.nc.publish("test.log.a", b"x" * (bus.nc.max_payload - 10), headers={"Header": "x" * 60})
    await asyncio.wait_for(bus.closed.wait(), 30)
    with pytest.raises(NoAck):
        await bus.store("test.log.a", b"")


async def test_a_key_that_was_withdrawn_is_tried_again_until_it_is_back(tmp_path: Path) -> None:
    seed, key = new_key()
    _, other = new_key()
    with NatsServer(tmp_path, config=users(key)) as server:
        file = server.directory / "nats-server.conf"

        def let_in(allowed: str, instead_of: str) -> None:
            file.write_text(file.read_text().replace(users(instead_of), users(allowed)))
            os.kill(server.pid, signal.SIGHUP)

        bus = await Bus.connect(server.url, name="test", seed=seed)
        await make_stream(bus, "TEST_LOG", "test.log.>")
        let_in(other, instead_of=key)
        await until_disconnected(bus)
        let_in(key, instead_of=other)

        async def stores() -> bool:
            """The second reload may cut the connection once more."""
            with contextlib.suppress(BusError):
                return (await bus.store("test.log.a", b"x", timeout=1)).seq >= 1
            return False

        await until(stores, "it is let in again", 30)
        assert not bus.closed.is_set()
        await bus.close()


async def test_closing_is_not_being_closed(nats_server: NatsServer) -> None:
    bus = await Bus.connect(nats_server.url, name="test")
    await bus.close()
    assert not bus.closed.is_set()


async def test_closing_ends_the_waiting(proxy: Proxy, shaky: Bus, log_stream: str) -> None:
    proxy.lose_answers()
    storing = asyncio.create_task(shaky.store("test.log.a", b"x", timeout=60))
    await asyncio.sleep(0)
    await shaky.close()
    with pytest.raises(NoAck):
        await asyncio.wait_for(storing, 30)


async def test_a_stream_that_was_deleted_is_gone_for_publishers(bus: Bus, log_stream: str) -> None:
    await bus.store("test.log.a", b"x")
    await api(bus, f"STREAM.DELETE.{log_stream}")
    with pytest.raises(NoStream):
        await bus.store("test.log.a", b"x")
