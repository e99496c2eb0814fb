"""Everything at once, as where strangers are: a NATS of one's own by TLS, a key a part, and clients by wss."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from magi.cli.nats_access import component_users
from magi.eventstore.rights import COMPONENTS
from tests.certificates import Authority
from tests.cli.commands import magi
from tests.cli.serving import Serve
from tests.servers import NatsServer

QUESTION = ("submit", "--query", "Say hello.", "--answer", "Hello.", "--timeout-ms", "20000")


class World:
    def __init__(self, serve: Serve, authority: Authority, seeds: Path, nats: NatsServer) -> None:
        self.serve = serve
        self.authority = authority
        self.seeds = seeds
        self.nats = nats


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder / "certificates")
    server, gateway = authority.issue("nats"), authority.issue("gateway")
    seeds = folder / "seeds"
    printed = magi("nats", "config", "--out", str(seeds), data=folder / "nobody")
    assert printed.code == 0, printed.stderr
    config = f'tls {{ cert_file: "{server.cert}", key_file: "{server.key}" }}\n{printed.stdout}'
    with NatsServer(folder / "nats", config=config) as nats:
        serve = Serve(
            folder / "data",
            MAGI_NATS_URL=nats.url.replace("nats://", "tls://"),
            MAGI_NATS_SEED_DIR=str(seeds),
            MAGI_NATS_TLS_CA=str(authority.ca),
        )
        serve.start(
            "--port", "0", "--tls-cert", str(gateway.cert), "--tls-key", str(gateway.key), "--tls-ca", str(authority.ca)
        )
        with_it = World(serve, authority, seeds, nats)
        try:
            yield with_it
        finally:
            serve.end()


def test_a_request_is_judged_by_wss_over_a_nats_of_ones_own(world: World) -> None:
    assert world.serve.url.startswith("wss://127.0.0.1:")
    done = magi(*QUESTION, data=world.serve.data)
    assert done.code in (0, 1), done.stderr
    assert "verdict" in done.stdout


def test_who_is_given_another_ca_sends_nothing_and_says_why(world: World, tmp_path: Path) -> None:
    other = Authority(tmp_path).ca
    done = magi(*QUESTION, "--tls-ca", str(other), data=world.serve.data)
    assert done.code == 2
    assert done.complaint == (
        "magi: the gateway is not to be trusted: its certificate is signed by no CA that is trusted here "
        "(--tls-ca, gateway.tls_ca)"
    )
    missing = magi(*QUESTION, "--tls-ca", "/nothing", data=world.serve.data)
    assert missing.complaint == "magi: gateway.tls_ca: /nothing: No such file or directory"


def test_who_forgets_the_tls_is_told(world: World) -> None:
    url = world.serve.url.replace("wss://", "ws://")
    done = magi(*QUESTION, "--url", url, "--token", world.serve.token, data=world.serve.data)
    assert done.code == 2
    assert "magi:" in done.stderr


def test_a_doctor_finds_gateway_and_nats_well_by_tls(world: World) -> None:
    done = magi("doctor", "--json", data=world.serve.data)
    found = {finding["check"]: finding for finding in json.loads(done.stdout)}
    assert found["gateway"]["status"] == "ok", found["gateway"]
    assert found["nats"]["status"] == "ok", found["nats"]


def test_each_command_uses_the_seed_of_who_may_do_what_it_does(world: World) -> None:
    data = world.serve.data
    one = {"MAGI_NATS_SEED_FILE": str(world.seeds / "auditor.seed")}
    audited = magi("audit", "verify", "--all", data=data, **one)
    assert audited.code == 0, audited.stderr
    refused = magi("initiators", "add", "sneaky", data=data, **one)
    assert refused.code == 2  # an auditor's key changes nothing, whatever the command
    assert "sneaky" not in magi("initiators", "list", data=data).stdout


def test_the_seeds_are_their_owners_and_stay_the_same(world: World) -> None:
    files = sorted(file.name for file in world.seeds.iterdir() if file.suffix == ".seed")
    assert files == sorted(f"{component}.seed" for component in COMPONENTS)
    assert {(world.seeds / file).stat().st_mode & 0o777 for file in files} == {0o600}
    assert world.seeds.stat().st_mode & 0o777 == 0o700
    again = magi("nats", "config", "--out", str(world.seeds), data=world.serve.data)
    assert all(user.public_key in again.stdout for user in component_users(world.seeds))


def test_registered_voters_are_in_the_configuration_when_they_are_asked_for(world: World) -> None:
    added = magi("voters", "add", "far-away", "--kind", "nats", data=world.serve.data)
    assert added.code == 0, added.stderr
    printed = magi("nats", "config", "--out", str(world.seeds), "--voters", data=world.serve.data)
    edge = json.loads(printed.stdout.partition("accounts: ")[2])["MAGI_EDGE"]
    assert any("magi.inbox.*.ballot.far-away" in user["permissions"]["publish"]["allow"] for user in edge["users"])
