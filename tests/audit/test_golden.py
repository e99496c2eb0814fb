"""Every stored schema version is verified and replayed: the log of an older MAGI gives the same verdicts today."""

from itertools import pairwise
from pathlib import Path

import pytest

from magi.audit.directory_check import check_directory
from magi.audit.events import parts, request_event
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
HEADS = {
    "v1": "44,daa22fbbd8fc047a55298069dfe883f0b3a1c2433bda6d596ef3689b709ab269"
    "33576a9db0e236b96797cf54a02ea60a1284fba33c7cdd6595017036149d8be5",
    "v2": "17,764ed67de18cfe65e38699a29bed22861be96c11b4581a7bd27d8bbc91e601ef"
    "8fd204ad1de370eccfd131c5c81b7823a1179933d02a19a74cc9ffa0f401f414",
}
"""As the MAGI that knew these versions printed them: what people have remembered stays what it is."""


def messages_of(path: Path, prefix: str) -> list[StoredMessage]:
    lines = path.read_bytes().splitlines()
    named = path.stem.replace("-", ".", 1)
    aggregate = request_event(parts(lines[0])[0]).originator_id if prefix == "magi.log." else named
    return [StoredMessage(place, f"{prefix}{aggregate}", line) for place, line in enumerate(lines, 1)]


def requests(version: Path) -> list[list[StoredMessage]]:
    return [messages_of(path, "magi.log.") for path in sorted(version.glob("request-*.jsonl"))]


def everybody(histories: list[list[StoredMessage]]) -> list[StoredMessage]:
    """A directory in which all panels and initiators were registered in time, and revoked who wasn't waited for."""
    events = [[request_event(data) for message in history for data in parts(message.data)] for history in histories]
    first = [event for history in events if isinstance(event := history[0], Received)]
    at = "2020-01-01T00:00:00.000Z"
    voters = sorted({voter for event in first for voter in event.voters})
    initiators = sorted({event.initiator_id for event in first})
    last = [event for history in events if isinstance(event := history[-1], Adjudicated)]
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
    assert read.events == sum(len(parts(message.data)) for message in messages)
    if version.name in HEADS:
        assert str(verifier.head) == HEADS[version.name]


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
