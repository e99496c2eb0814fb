import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client as NatsClient
from websockets.asyncio.client import ClientConnection, connect

from magi.eventstore.bus import Bus
from magi.eventstore.declarations import load_declarations
from magi.eventstore.streams import apply
from magi.eventstore.tls import BadTlsFile, explain
from magi.gateway import tls
from magi.gateway.server import CannotListen, Gateway
from magi.gateway.settings import GatewaySettings
from magi.gateway.tls import Certificate, find_certificate
from tests.certificates import Authority, Pair
from tests.servers import NatsServer
from tests.waiting import stopwatch, until


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


@asynccontextmanager
async def serving(server: NatsServer, pair: Pair) -> AsyncIterator[Gateway]:
    bus = await Bus.connect(server.url, name="gateway")
    settings = GatewaySettings(port=0, grace_seconds=0.5, tls_cert=str(pair.cert), tls_key=str(pair.key))
    gateway = Gateway(bus, settings, partitions=2, panel_size=5, default_group="default")
    try:
        await apply(bus.nc, load_declarations())
        await gateway.start()
        yield gateway
    finally:
        await gateway.stop()
        await bus.close()


def url(gateway: Gateway, host: str = "127.0.0.1") -> str:
    return f"wss://{host}:{gateway.port}"


async def answers(ws: ClientConnection) -> None:
    await ws.send('{"type":"ping"}')
    assert "unauthorized" in str(await asyncio.wait_for(ws.recv(), 30))


def serial(ws: ClientConnection) -> str:
    shown = ws.transport.get_extra_info("ssl_object").getpeercert()
    return str(shown["serialNumber"])


async def test_who_trusts_the_ca_is_served_by_tls_1_2_and_newer(
    nats_server: NatsServer, nc: NatsClient, authority: Authority
) -> None:
    async with serving(nats_server, authority.issue()) as gateway:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            trust = authority.trust
            trust.minimum_version = trust.maximum_version = version
            async with connect(url(gateway), ssl=trust) as ws:
                await answers(ws)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(authority.ca)
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await connect(url(gateway), ssl=old)


async def test_who_does_not_trust_it_says_so_in_words(
    nats_server: NatsServer, nc: NatsClient, authority: Authority, tmp_path: Path
) -> None:
    async with serving(nats_server, authority.issue()) as gateway:
        with pytest.raises(ssl.SSLCertVerificationError) as error:
            await connect(url(gateway), ssl=Authority(tmp_path / "other").trust)
        assert explain(error.value) == "its certificate is signed by no CA that is trusted here"


@pytest.mark.parametrize(
    ("hosts", "age", "problem"),
    [
        (("127.0.0.1",), 200, "its certificate has expired, or the clock here is wrong"),
        (("127.0.0.1",), -10, "its certificate isn't valid yet, or the clock here is wrong"),
        (("magi.example.org",), 0, "its certificate is another server's"),
    ],
)
async def test_a_certificate_that_is_none_for_here_and_now_is_told_apart(
    nats_server: NatsServer, nc: NatsClient, authority: Authority, hosts: tuple[str, ...], age: int, problem: str
) -> None:
    async with serving(nats_server, authority.issue("server", hosts, age_days=age)) as gateway:
        with pytest.raises(ssl.SSLCertVerificationError) as error:
            await connect(url(gateway), ssl=authority.trust)
        assert explain(error.value).startswith(problem)


async def test_a_new_certificate_is_shown_to_who_connects_next_and_who_is_connected_stays(
    nats_server: NatsServer, nc: NatsClient, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "LOOK_EVERY", 0.02)
    async with (
        serving(nats_server, authority.issue()) as gateway,
        connect(url(gateway), ssl=authority.trust) as old,
    ):
        first = serial(old)
        authority.issue()

        async def renewed() -> bool:
            async with connect(url(gateway), ssl=authority.trust) as new:
                await answers(new)
                return serial(new) != first

        await until(renewed, "the new certificate is shown")
        await answers(old)


async def test_a_pair_that_does_not_fit_leaves_the_old_one_in_use(authority: Authority) -> None:
    pair = authority.issue()
    certificate = Certificate(pair.cert, pair.key)
    before = certificate._latest
    pair.key.write_bytes(authority.issue("other").key.read_bytes())  # the first half of a renewal
    certificate.refresh()
    assert certificate._latest is before
    pair.cert.write_bytes((pair.cert.parent / "other.pem").read_bytes())  # and the second
    certificate.refresh()
    assert certificate._latest is not before


def test_files_that_can_not_be_used_are_named_and_their_content_is_not(authority: Authority, tmp_path: Path) -> None:
    pair, other = authority.issue(), authority.issue("other")
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("planted-secret")
    for cert, key, problem in (
        (pair.cert, tmp_path / "nothing", "nothing: No such file"),
        (pair.cert, other.key, "it is not the key of the certificate"),
        (pair.cert, nonsense, "no certificate and its key in PEM"),
        (nonsense, pair.key, "no certificate and its key in PEM"),
    ):
        with pytest.raises(BadTlsFile, match=problem) as error:
            Certificate(cert, key)
        assert "planted" not in str(error.value)


def test_a_certificate_without_its_key_is_refused(authority: Authority) -> None:
    assert find_certificate("", "") is None
    with pytest.raises(BadTlsFile, match="both"):
        find_certificate(str(authority.issue().cert), "")


async def test_a_gateway_that_can_not_read_its_certificate_does_not_start(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    with pytest.raises(CannotListen, match=r"gateway\.tls_cert.*No such file"):
        async with serving(nats_server, Pair(tmp_path / "none.pem", tmp_path / "none.key")):
            pass


async def test_health_is_told_over_tls_too(nats_server: NatsServer, nc: NatsClient, authority: Authority) -> None:
    async with serving(nats_server, authority.issue()) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, ssl=authority.trust)
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: magi\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_clients_that_never_finish_the_tls_handshake_do_not_hold_up_a_stop(
    nats_server: NatsServer, nc: NatsClient, authority: Authority
) -> None:
    async with serving(nats_server, authority.issue()) as gateway:
        stuck = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(3)]
        stuck[0][1].write(b"\x16\x03\x01")  # the beginning of a hello
        async with connect(url(gateway), ssl=authority.trust) as ws:
            await answers(ws)
            async with stopwatch() as watch:
                await gateway.stop()
            assert watch.seconds < 1.5  # its grace and a second
        for _, writer in stuck:
            writer.close()
