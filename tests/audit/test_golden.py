"""Every stored schema version is verified and replayed: the log of an older MAGI gives the same verdicts today."""

from itertools import pairwise
from pathlib import Path

import pytest

from magi.audit.directory_check import check_directory
from magi.audit.events import request_event
from magi.audit.findings import Findings
from magi.audit.replay import Replay
from magi.audit.verify import LogVerifier
from magi.domain.initiator import InitiatorRegistered
from magi.domain.voter import VoterRegistered, VoterRevoked
from magi.domain.voting_request import Adjudicated, Received
from magi.eventstore.direct import StoredMessage
from tests.audit.histories import LATER, directory_messages, renumbered, verify_one

GOLDEN = Path(__file__).parents[1] / "golden"
VERSIONS = sorted(GOLDEN.glob("v*"))
WITH_REQUESTS = [path for path in VERSIONS if list(path.glob("request-*"))]


def messages_of(path: Path, prefix: str) -> list[StoredMessage]:
    lines = path.read_bytes().splitlines()
    aggregate = request_event(lines[0]).originator_id if prefix == "magi.log." else path.stem.replace("-", ".", 1)
    return [StoredMessage(place, f"{prefix}{aggregate}", line) for place, line in enumerate(lines, 1)]


def requests(version: Path) -> list[list[StoredMessage]]:
    return [messages_of(path, "magi.log.") for path in sorted(version.glob("request-*.jsonl"))]


def everybody(histories: list[list[StoredMessage]]) -> list[StoredMessage]:
    """A directory in which all panels and initiators were registered in time, and revoked who wasn't waited for."""
    first = [event for history in histories if isinstance(event := request_event(history[0].data), Received)]
    at = "2020-01-01T00:00:00.000Z"
    voters = sorted({voter for event in first for voter in event.voters})
    initiators = sorted({event.initiator_id for event in first})
    last = [event for history in histories if isinstance(event := request_event(history[-1].data), Adjudicated)]
    return directory_messages(
        *(VoterRegistered(originator_id=f"voter.{v}", at=at, voter_id=v, kind="nats", by="t") for v in voters),
        *(InitiatorRegistered(originator_id=f"initiator.{i}", at=at, initiator_id=i, by="t") for i in initiators),
        *(VoterRevoked(originator_id=f"voter.{v}", at=event.at, by="t") for event in last for v in event.out),
    )


@pytest.mark.parametrize("version", WITH_REQUESTS, ids=lambda path: path.name)
def test_a_golden_log_is_sound(version: Path) -> None:
    histories = requests(version)
    assert histories
    messages = renumbered([message for history in histories for message in history])
    verifier = LogVerifier(check_directory(everybody(histories), Findings()), Findings())
    for message in messages:
        assert not verifier.wants(message)
        verifier.feed(message)
    read = verifier.finish(len(messages), LATER)
    assert [f for f in verifier.findings.first if f.severity != "note"] == []
    assert read.requests == len(histories)


@pytest.mark.parametrize("version", WITH_REQUESTS, ids=lambda path: path.name)
def test_a_golden_log_is_decided_again_as_it_was(version: Path) -> None:
    replay = Replay()
    for history in requests(version):
        for message in history:
            replay.feed(message)
    assert replay.requests > 0
    assert (replay.different, replay.changed, replay.unreadable) == (0, 0, 0)
    assert not replay.problems
    assert replay.recorded == replay.again


@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
def test_a_golden_directory_is_sound(version: Path) -> None:
    paths = [path for path in sorted(version.glob("*.jsonl")) if not path.name.startswith("request-")]
    assert paths
    for path in paths:
        findings = Findings()
        check_directory(messages_of(path, "magi.directory."), findings)
        assert findings.first == []


@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
def test_two_swapped_lines_of_a_golden_history_are_found(version: Path) -> None:
    histories = requests(version)
    who = check_directory(everybody(histories), Findings())
    for history in histories:
        for place, (one, other) in enumerate(pairwise(history)):
            damaged = renumbered([*history[:place], other, one, *history[place + 2 :]])
            assert verify_one(damaged, who).outcome == "broken"
