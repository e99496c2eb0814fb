from pathlib import Path

import pytest

from magi.eventstore.bus import Bus, CannotConnect
from magi.eventstore.tls import BadTlsFile, client_context
from tests.certificates import Authority, Pair
from tests.servers import NatsServer
from tests.waiting import until


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


def over_tls(folder: Path, pair: Pair, clients: Path | None = None) -> NatsServer:
    """A server that wants TLS, and with `clients` a certificate of that CA from everybody."""
    who = f', ca_file: "{clients}", verify: true' if clients else ""
    return NatsServer(folder, config=f'tls {{ cert_file: "{pair.cert}", key_file: "{pair.key}"{who} }}')


def tls_url(server: NatsServer) -> str:
    return server.url.replace("nats://", "tls://")


async def test_the_bus_speaks_tls_and_does_so_again_after_a_restart(tmp_path: Path, authority: Authority) -> None:
    with over_tls(tmp_path / "nats", authority.issue()) as server:
        bus = await Bus.connect(tls_url(server), name="t", tls=authority.trust)
        try:
            assert b"account_info" in await bus.request("$JS.API.INFO")
            server.restart()

            async def back() -> bool:
                return bus.reconnects > 0

            await until(back, "the connection is back")
            assert b"account_info" in await bus.request("$JS.API.INFO")
        finally:
            await bus.close()


@pytest.mark.parametrize(
    ("hosts", "age", "problem"),
    [
        (("127.0.0.1",), 200, "its certificate has expired"),
        (("magi.example.org",), 0, "its certificate is another server's"),
    ],
)
async def test_a_server_that_is_not_to_be_trusted_is_told_why(
    tmp_path: Path, authority: Authority, hosts: tuple[str, ...], age: int, problem: str
) -> None:
    with (
        over_tls(tmp_path / "nats", authority.issue("nats", hosts, age_days=age)) as server,
        pytest.raises(CannotConnect, match=problem),
    ):
        await Bus.connect(tls_url(server), name="t", tls=authority.trust)


async def test_a_server_of_another_ca_is_told_so(tmp_path: Path, authority: Authority) -> None:
    with (
        over_tls(tmp_path / "nats", authority.issue()) as server,
        pytest.raises(CannotConnect, match="no CA that is trusted here"),
    ):
        await Bus.connect(tls_url(server), name="t", tls=Authority(tmp_path / "other").trust)


async def test_a_server_that_wants_no_tls_gets_nothing_of_who_asks_for_it(
    nats_server: NatsServer, authority: Authority
) -> None:
    with pytest.raises(CannotConnect, match="doesn't want TLS"):
        await Bus.connect(tls_url(nats_server), name="t", tls=authority.trust)


async def test_a_server_that_wants_to_know_its_clients_is_shown_a_certificate(
    tmp_path: Path, authority: Authority
) -> None:
    mine = authority.issue("client")
    with over_tls(tmp_path / "nats", authority.issue(), clients=authority.ca) as server:
        shown = client_context(str(authority.ca), str(mine.cert), str(mine.key))
        bus = await Bus.connect(tls_url(server), name="t", tls=shown)
        await bus.close()
        with pytest.raises(CannotConnect):
            await Bus.connect(tls_url(server), name="t", tls=authority.trust)


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nothing")
    with pytest.raises(BadTlsFile, match=r"nonsense\.pem: no certificates in PEM in it"):
        client_context(str(nonsense))
    with pytest.raises(BadTlsFile, match="nothing: No such file"):
        client_context(str(tmp_path / "nothing"))
