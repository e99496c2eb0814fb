import ssl
from pathlib import Path

import pytest

from magi.eventstore.tls import client_context
from tests.cli.commands import magi


def test_what_is_made_is_trusted_by_its_own_ca_and_the_keys_are_nobody_elses(tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    made = magi("certs", "dev", "--out", str(folder), "--host", "magi.example.org", data=tmp_path / "data")
    assert made.code == 0, made.stderr
    assert {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()} == {
        ".gitignore": 0o600,
        "ca.pem": 0o644,
        "ca.key": 0o600,
        "server.pem": 0o644,
        "server.key": 0o600,
    }
    for host in ("magi.example.org", "localhost", "127.0.0.1", "::1"):
        assert _shakes_hands(folder, host)
    assert not _shakes_hands(folder, "other.example.org")


def test_a_second_time_the_ca_stays_and_the_certificate_is_a_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    magi("certs", "dev", "--out", str(folder), data=tmp_path / "data")
    before = (folder / "ca.pem").read_bytes(), (folder / "server.pem").read_bytes()
    assert magi("certs", "dev", "--out", str(folder), data=tmp_path / "data").code == 0
    assert (folder / "ca.pem").read_bytes() == before[0]
    assert (folder / "server.pem").read_bytes() != before[1]
    assert _shakes_hands(folder, "localhost")


@pytest.mark.parametrize("host", ["müller.example", "a b c", "-a", "a..b"])
def test_a_host_that_can_not_be_one_is_refused(tmp_path: Path, host: str) -> None:
    made = magi("certs", "dev", "--out", str(tmp_path / "certs"), f"--host={host}", data=tmp_path / "data")
    assert made.code == 2
    assert "--host" in made.complaint


def _shakes_hands(folder: Path, host: str) -> bool:
    """Whether a client that trusts the CA takes the server's certificate for that of `host`; without a network."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem", folder / "server.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = client_context(str(folder / "ca.pem")).wrap_bio(to_client, to_server, server_hostname=host)
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        for side in (client_side, server_side):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return client_side.version() is not None
