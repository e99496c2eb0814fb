"""`magi metrics`, and what a running `magi serve` shows Prometheus after it has judged requests."""

import contextlib
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from magi.cli.scrape import Target, as_file_sd, find_targets
from magi.embedded.runfile import ServerNote, write_note
from magi.telemetry import declarations as d
from magi.telemetry.declarations import metrics_of
from magi.telemetry.metric import EVERY_PART
from tests.cli.commands import magi
from tests.cli.serving import Serve
from tests.telemetry.strict import Family, label_names, read, total
from tests.waiting import eventually

VOTED = ("submit", "--query", "q", "--answer", "Some words.", "--voters", "melchior")
REFUSED = ("submit", "--query", "q", "--answer", "Some words.", "--voters", "nobody-at-all")


def get(address: str, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=30) as answer:
        assert path != "/metrics" or answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return str(answer.read().decode())


class Scrapes:
    """Of one MAGI, by its data directory: made once for all tests that find it running."""

    def __init__(self) -> None:
        self.addresses: dict[Path, dict[str, str]] = {}
        self.parts: dict[Path, dict[str, dict[str, Family]]] = {}


@pytest.fixture(scope="module")
def scrapes() -> Scrapes:
    return Scrapes()


@pytest.fixture
def addresses(serve: Serve, scrapes: Scrapes) -> dict[str, str]:
    """Where each part is scraped, as Prometheus would find it; after a request that was judged and one refused."""
    if serve.data not in scrapes.addresses:
        scrapes.addresses[serve.data] = judged_and_found(serve)
    return scrapes.addresses[serve.data]


def judged_and_found(serve: Serve) -> dict[str, str]:
    file = serve.data / "run" / "scrape-targets.json"

    def found() -> dict[str, str]:
        return {entry["labels"]["part"]: entry["targets"][0] for entry in json.loads(file.read_bytes())}

    eventually(lambda: set(found()) == set(EVERY_PART), "every part shows its metrics", 60)
    assert magi(*VOTED, data=serve.data).code in (0, 1)
    assert magi(*REFUSED, data=serve.data).code == 2
    return found()


@pytest.fixture
def scraped(serve: Serve, addresses: dict[str, str], scrapes: Scrapes) -> dict[str, dict[str, Family]]:
    """What each part shows, once there is of everything that is to be seen."""
    if serve.data not in scrapes.parts:
        scrapes.parts[serve.data] = shown_at(addresses)
    return scrapes.parts[serve.data]


def shown_at(addresses: dict[str, str]) -> dict[str, dict[str, Family]]:
    parts: dict[str, dict[str, Family]] = {}

    def settled() -> bool:
        """The projector follows a moment later, the streams are looked at now and then, and the machine may be busy."""
        parts.update({part: read(get(address)) for part, address in addresses.items()})
        if total(parts["orchestrator"], d.STREAM_LAST.name, stream="MAGI_LOG") < 4:
            return False
        if total(parts["projector"], d.PROJECTION_POSITION.name, projection="requests") == 0:
            return False
        return without_a_sample(parts) <= {metric.name for metric in RARE}

    with contextlib.suppress(AssertionError):  # the tests say better what there is not
        eventually(settled, "everything has a sample", 30)
    return parts


RARE = {
    d.STORE_RETRIES,
    d.APPEND_CONFLICTS,
    d.LOST_ACKS,
    d.SUBMISSIONS_REFUSED,  # the gateway refuses first
    d.BALLOTS_REFUSED,
}
"""Those that need something to go wrong before they have a sample."""


def without_a_sample(parts: dict[str, dict[str, Family]]) -> set[str]:
    return {metric.name for part in EVERY_PART for metric in metrics_of(part) if not parts[part][metric.name].samples}


@pytest.mark.parametrize("part", EVERY_PART)
def test_each_part_shows_what_is_declared_for_it_and_nothing_else(
    part: str, scraped: dict[str, dict[str, Family]]
) -> None:
    declared = {metric.name: metric for metric in metrics_of(part)}
    assert set(scraped[part]) == set(declared)
    for name, family in scraped[part].items():
        assert family.type == declared[name].kind
        assert family.help == declared[name].help or declared[name] in d.PROCESS  # those have the library's
        assert label_names(family) <= {tuple(sorted(declared[name].labels))}, name


def test_every_documented_metric_has_a_sample_unless_it_needs_a_failure(
    scraped: dict[str, dict[str, Family]],
) -> None:
    assert without_a_sample(scraped) <= {metric.name for metric in RARE}


def test_the_judged_request_went_through_every_stage(scraped: dict[str, dict[str, Family]]) -> None:
    orchestrator, gateway, voters = scraped["orchestrator"], scraped["gateway"], scraped["voters"]
    for stage in ("inbox", "received", "dispatched", "first_progress", "first_result", "last_result", "verdict"):
        assert total(orchestrator, d.STAGE_SECONDS.name, stage=stage) >= 1, stage
    assert total(gateway, d.STAGE_SECONDS.name, stage="sent") >= 1
    assert total(gateway, d.GATEWAY_SECONDS.name) >= 1
    assert total(orchestrator, d.OVERHEAD_SECONDS.name) >= 1
    assert total(orchestrator, d.VERDICTS.name) >= 1
    assert total(orchestrator, d.VOTES.name, voter="melchior") >= 1
    assert total(orchestrator, d.VOTER_SECONDS.name, voter="melchior") >= 1
    assert total(voters, d.TASKS_JUDGED.name, voter="melchior", outcome="voted") >= 1
    assert total(gateway, d.GATEWAY_ERRORS.name, client="initiator") >= 1  # the refused one
    assert total(gateway, d.GATEWAY_REQUESTS.name, outcome="submitted") >= 1


def test_every_partition_has_one_owner_and_no_stream_a_hole(scraped: dict[str, dict[str, Family]]) -> None:
    owned = scraped["orchestrator"][d.PARTITION_OWNED.name].samples
    assert len(owned) == 8
    assert set(owned.values()) == {1.0}
    assert total(scraped["orchestrator"], d.STREAM_MISSING.name) == 0
    assert total(scraped["orchestrator"], d.STREAM_LAST.name, stream="MAGI_LOG") >= 2


def test_no_label_holds_anything_of_a_request(scraped: dict[str, dict[str, Family]], serve: Serve) -> None:
    listed = magi("requests", "list", "--json", data=serve.data).stdout
    ids = {row["request_id"] for row in json.loads(listed)}
    assert ids
    values = {v for part in scraped.values() for f in part.values() for _, labels in f.samples for _, v in labels}
    assert not values & (ids | {"q", "Some words.", "local"})


def test_a_part_says_that_it_is_alive(addresses: dict[str, str]) -> None:
    assert get(addresses["gateway"], "/healthz") == "alive\n"
    with pytest.raises(urllib.error.HTTPError):
        get(addresses["gateway"], "/")


def test_the_command_prints_all_parts_as_one(serve: Serve, addresses: dict[str, str]) -> None:
    result = magi("metrics", data=serve.data)
    assert result.code == 0, result.stderr
    found = read(result.stdout)
    assert set(found) == {metric.name for part in EVERY_PART for metric in metrics_of(part)}
    assert {dict(labels)["part"] for _, labels in found[d.BUILD.name].samples} == set(EVERY_PART)


def test_the_command_prints_one_part(serve: Serve, addresses: dict[str, str]) -> None:
    found = read(magi("metrics", "--part", "gateway", data=serve.data).stdout)
    assert set(found) == {metric.name for metric in metrics_of("gateway")}


def test_the_command_prints_where_prometheus_looks(serve: Serve, addresses: dict[str, str]) -> None:
    printed = magi("metrics", "--targets", data=serve.data).stdout
    assert json.loads(printed) == json.loads((serve.data / "run" / "scrape-targets.json").read_bytes())


def test_without_a_running_magi_it_says_so(nowhere: Path) -> None:
    result = magi("metrics", data=nowhere)
    assert result.code == 2
    assert "magi serve" in result.stderr
    assert magi("metrics", "--part", "postgres", data=nowhere).code == 2


def test_targets_are_the_parts_that_show_metrics(tmp_path: Path) -> None:
    write_note(tmp_path / "gateway.json", ServerNote(1, 8765, operations_port=9001))
    write_note(tmp_path / "orchestrator.json", ServerNote(2, None))
    write_note(tmp_path / "nats-server.json", ServerNote(3, 4222, 8222))
    found = find_targets(tmp_path, "0.0.0.0")
    assert found == [Target("gateway", "127.0.0.1:9001")]
    assert json.loads(as_file_sd(found)) == [
        {"targets": ["127.0.0.1:9001"], "labels": {"job": "magi", "part": "gateway"}}
    ]
    assert find_targets(tmp_path, "::")[0].address == "[::1]:9001"
