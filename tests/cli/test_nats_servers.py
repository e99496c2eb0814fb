import json
from pathlib import Path

import pytest

from tests.cli.commands import Result, magi
from tests.cli.nats_cluster import nats_cluster
from tests.waiting import eventually


def rows(result: Result, check: str) -> list[dict[str, str]]:
    return [row for row in json.loads(result.stdout) if row["check"] == check]


@pytest.mark.timeout(300)
def test_a_cluster_of_three_runs_on_what_is_written_and_a_doctor_sees_its_copies(tmp_path: Path) -> None:
    with nats_cluster(tmp_path) as cluster:
        # Whoever connects passes over a server that isn't there.
        variables = {**cluster.settings, "MAGI_NATS_URL": f"nats://127.0.0.1:1,{cluster.settings['MAGI_NATS_URL']}"}

        def applied(replicas: str) -> bool:
            return magi("streams", "apply", data=tmp_path, **{**variables, "MAGI_NATS_REPLICAS": replicas}).code == 0

        def copies() -> list[dict[str, str]]:
            return rows(magi("doctor", "--json", data=tmp_path, **variables), "copies")

        eventually(lambda: applied("1"), "the streams are there", 60)

        def alone() -> bool:
            # Or it can't look: on a busy machine a cluster may be electing somebody, who doesn't answer until then.
            return any(
                (row["status"], "MAGI_LOG has 1 copy" in row["found"], "nats.replicas = 3" in row["advice"])
                == ("error", True, True)
                for row in copies()
            )

        eventually(alone, "the doctor sees that there is one copy", 60)
        eventually(lambda: applied("3"), "the streams have three copies", 60)
        eventually(lambda: [row["status"] for row in copies()] == ["ok"], "all copies are in step", 60)


def test_no_secret_is_readable_for_others_and_a_second_call_keeps_them(tmp_path: Path) -> None:
    def write() -> dict[str, str]:
        command = ("nats", "servers", "n1=10.0.0.1", "n2=10.0.0.2", "n3=nats3.example.org:4333", "--out", "out")
        options = ("--tls-cert", "/etc/nats/c.pem", "--tls-key", "/etc/nats/k.pem", "--tls-ca", "/etc/nats/ca.pem")
        done = magi(*command[:-1], str(tmp_path / "out"), *options, data=tmp_path / "data")
        assert done.code == 0, done.stderr
        assert 'url = "tls://10.0.0.1:4222,tls://10.0.0.2:4222,tls://nats3.example.org:4333"' in done.stderr
        return {str(f.relative_to(tmp_path)): f.read_text() for f in tmp_path.rglob("*") if f.is_file()}

    first = write()
    assert write() == first
    others = [file for file in first if (tmp_path / file).stat().st_mode & 0o077]
    assert [file for file in others if not file.endswith(".gitignore")] == []
    third = first["out/n3/nats-server.conf"]
    assert 'listen: "nats3.example.org:4333"' in third
    assert "10.0.0.1:6222" in third
    assert "nats3.example.org:6333" not in third.partition("routes:")[2]
    assert 'sync_interval: "always"' in third
    assert third.count("cert_file") == 2


@pytest.mark.parametrize(
    "places",
    [
        ("n1=10.0.0.1", "n2=10.0.0.2"),
        ("n1",),
        ("n1=10.0.0.1:70000",),
        ("n1=10.0.0.1 }",),
        ("n1=10.0.0.1", "n1=10.0.0.2", "n3=10.0.0.3"),
        ("n1=127.0.0.1:24222", "n2=127.0.0.1:25222", "n3=127.0.0.1:26222"),
    ],
)
def test_servers_that_can_not_be_a_cluster_are_refused(places: tuple[str, ...], tmp_path: Path) -> None:
    done = magi("nats", "servers", *places, "--out", str(tmp_path / "out"), data=tmp_path)
    assert done.code == 2
    assert not (tmp_path / "out").exists()
