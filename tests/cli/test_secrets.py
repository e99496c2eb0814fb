"""Plants secrets wherever MAGI is given or makes some, and looks for them wherever others could read."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from magi.embedded import nkey
from tests.cli.commands import magi
from tests.cli.serving import Serve
from tests.projections.postgres import PostgresServer
from tests.waiting import eventually

TOKEN = "magi_i_PlantedTokenOfAnInitiator0123456789"
VOTER_TOKEN = "magi_v_PlantedTokenOfAVoter0123456789abcd"
WEBHOOK = "whsec_cGxhbnRlZC13ZWJob29rLXNlY3JldC1vZi1hbGVydHM="


class Planted:
    """A running MAGI and every secret that it was given or made, by what it is."""

    def __init__(self, serve: Serve, secrets: dict[str, str], said: list[str]) -> None:
        self.serve = serve
        self.secrets = secrets
        self.said = said
        """What commands printed, besides those whose purpose it is to show a secret."""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    folder = tmp_path_factory.mktemp("secrets")
    webhook = folder / "webhook.secret"
    webhook.write_text(WEBHOOK)
    webhook.chmod(0o600)
    seed = nkey.generate()[1]
    with PostgresServer(folder / "postgres").running() as postgres:
        password = urlsplit(postgres.url).password
        assert password
        serve = Serve(
            folder / "data",
            MAGI_TOKEN=TOKEN,
            MAGI_VOTER_TOKEN=VOTER_TOKEN,
            MAGI_VOTER_SEED=seed,
            MAGI_POSTGRES_URL=postgres.url,
            MAGI_ALERTS_WEBHOOK_URL="http://127.0.0.1:9/alerts",
            MAGI_ALERTS_WEBHOOK_SECRET_FILE=str(webhook),
            MAGI_LOG_LEVEL="debug",
        )
        with serve:
            secrets = {
                "the Initiator's token": TOKEN,
                "the voter's token": VOTER_TOKEN,
                "the voter's seed": seed,
                "the Postgres password": password,
                "the webhook's secret": WEBHOOK,
            }
            data = serve.data
            for voter, kind, more in (
                ("on-the-bus", "nats", ()),
                ("by-socket", "websocket", ()),
                ("called", "http", ("--url", "http://127.0.0.1:9/judge", "--allow-private")),
            ):
                added = magi("voters", "add", voter, "--kind", kind, "--group", "planted", *more, data=data)
                assert added.code == 0, added.stderr
                secrets[f"what {voter} was given"] = added.last_word
            secrets["another Initiator's token"] = magi("initiators", "add", "other", data=data).last_word
            asked = magi("submit", "--query", "q", "--answer", "a", "--timeout-ms", "20000", data=data)
            assert asked.code in (0, 1), asked.stderr
            for file in (data / "keys").iterdir():
                if file.name not in (".gitignore", "pgpass"):
                    secrets[f"keys/{file.name}"] = file.read_text().strip()
            said = [
                *_said("doctor", data=data),
                *_said("config", "show", data=data),
                *_said("config", "show", "--json", data=data),
                *_said("config", "show", data=data, MAGI_POSTGRES_URL=postgres.url),
                *_said("voters", "list", "--json", data=data),
                *_said("initiators", "list", "--json", data=data),
                *_said("nats", "config", "--voters", data=data),
                *_said("projections", "status", data=data),
                *_said("export", "--out", str(folder / "export"), data=data),
                *_said("projections", "status", data=data, MAGI_POSTGRES_URL=f"postgresql//u:{password}@h/d"),
                *_said(
                    "projections", "status", data=data, MAGI_POSTGRES_URL=f"postgresql://u:{password}@127.0.0.1:9/d"
                ),
                *_said("projections", "status", data=data, MAGI_POSTGRES_URL=f"postgresql://u:x@{password}@h/d"),
                *_said("doctor", data=data, MAGI_POSTGRES_URL=f"host=127.0.0.1 port=9 password={password} oops"),
                *_said("doctor", data=data, MAGI_NATS_URL=f"nats://u:{password}@127.0.0.1:9"),
                *_said("streams", "check", data=data, MAGI_NATS_URL=f"nats://u:{password}@127.0.0.1:9"),
                *_said("submit", "--query", "q", "--answer", "a", data=data, MAGI_TOKEN=TOKEN),
                *_said("vote", "--as", "by-socket", data=data, MAGI_VOTER_TOKEN=VOTER_TOKEN),
            ]
            yield Planted(serve, secrets, said)


def _said(*arguments: str, data: Path, **variables: str) -> list[str]:
    done = magi(*arguments, data=data, **variables)
    return [done.stdout, done.stderr]


def _leaks(text: bytes, secrets: dict[str, str]) -> list[str]:
    return [name for name, secret in secrets.items() if secret.encode() in text]


def test_the_search_finds_what_is_there(planted: Planted) -> None:
    assert len(planted.secrets) >= 14
    assert all(len(secret) > 20 for secret in planted.secrets.values())
    mine = (planted.serve.data / "keys" / "local.token").read_bytes()
    assert _leaks(mine, planted.secrets) == ["keys/local.token"]
    own = Path(f"/proc/{planted.serve.process.pid}/environ").read_bytes()
    assert "the Initiator's token" in _leaks(own, planted.secrets)  # as it was given by whoever started it


def test_no_secret_is_in_a_log_or_on_stderr(planted: Planted) -> None:
    data = planted.serve.data
    files = [*(data / "logs").rglob("*"), data.with_name("data.err"), data.with_name("data.out")]
    found = {str(file): _leaks(file.read_bytes(), planted.secrets) for file in files if file.is_file()}
    assert len(found) >= 6
    assert not any(found.values()), found


def test_no_secret_is_in_what_commands_print_nor_in_their_errors(planted: Planted) -> None:
    assert sum(len(text) for text in planted.said) > 5000
    for text in planted.said:
        assert not _leaks(text.encode(), planted.secrets), text[-2000:]


def test_no_secret_is_in_notes_nor_in_the_servers_configurations(planted: Planted) -> None:
    data = planted.serve.data
    files = [*(data / "run").iterdir(), *(data / "nats").glob("*.conf"), data / "lock", data / "version"]
    files += [*(data / "postgres").glob("*.conf")]
    found = {str(file): _leaks(file.read_bytes(), planted.secrets) for file in files if file.is_file()}
    assert len(found) >= 6
    assert not any(found.values()), found


def test_no_secret_is_in_ps_nor_in_the_environment_of_any_process_that_magi_starts(planted: Planted) -> None:
    family = planted.serve.family()
    assert len(family) >= 6
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
            line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            assert not _leaks(line, planted.secrets), line
            if process.pid != planted.serve.process.pid:
                environment = Path(f"/proc/{process.pid}/environ").read_bytes()
                assert not _leaks(environment, planted.secrets), line


def test_what_holds_secrets_is_for_its_owner_only(planted: Planted) -> None:
    data = planted.serve.data
    assert data.stat().st_mode & 0o077 == 0
    for folder in ("keys", "secrets"):
        for path in (data / folder, *(data / folder).rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path
            assert path.stat().st_uid == os.geteuid()


def test_the_projector_gets_at_postgres_all_the_same(planted: Planted) -> None:
    def projected() -> bool:
        return magi("projections", "status", data=planted.serve.data).code == 0

    eventually(projected, "the projections stand where the log does", 30)
