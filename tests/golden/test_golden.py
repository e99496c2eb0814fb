"""Today's code reads every golden history, and comes to the same decisions again (see the README beside this file)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from magi.domain import initiator as initiators
from magi.domain import voter as voters
from magi.domain.clock import milliseconds
from magi.domain.directory import Directory, DirectoryEvent, Principal, VoterPrincipal
from magi.domain.event import Event
from magi.domain.ids import (
    InitiatorId,
    RequestId,
    VoterId,
    initiator_aggregate,
    panel_aggregate,
    request_aggregate,
    voter_aggregate,
)
from magi.domain.messages import ProgressBallot, ResultBallot
from magi.domain.operations import OperatorActed, operations_aggregate
from magi.domain.template import PanelDefined
from magi.domain.voting_request import (
    Adjudicated,
    CastVote,
    Command,
    Expire,
    Received,
    ReportProgress,
    RequestEvent,
    VoterProgress,
    VoterResult,
    Withdraw,
    decide,
    evolve,
    fold,
)
from magi.eventstore import subjects
from magi.eventstore.codec import Codec
from magi.eventstore.direct import StoredMessage
from magi.projections.sources import RequestsProjection
from tests.golden.stored import broken_links, digest, read, read_events

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("v*/*.jsonl"))
REQUESTS = [path for path in FILES if path.name.startswith("request-")]
DIRECTORY = [path for path in FILES if path not in REQUESTS]

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
every_request = pytest.mark.parametrize("path", REQUESTS, ids=lambda path: f"{path.parent.name}/{path.stem}")

decode_request_event = msgspec.json.Decoder(RequestEvent).decode
decode_directory_event = msgspec.json.Decoder(DirectoryEvent).decode


def events_of(path: Path) -> list[Event]:
    decode = decode_request_event if path in REQUESTS else decode_directory_event
    return [decode(event) for event in read_events(path)]


def request_events(path: Path) -> list[RequestEvent]:
    return [decode_request_event(event) for event in read_events(path)]


def test_no_file_was_edited_and_none_was_lost() -> None:
    for folder in HERE.glob("v*"):
        sums = set((folder / "SHA256SUMS").read_text().splitlines())
        assert sums == {f"{digest(path.read_bytes())}  {path.name}" for path in folder.glob("*.jsonl")}


@every_file
def test_a_history_is_a_chain_of_one_aggregate_without_a_gap(path: Path) -> None:
    events = events_of(path)
    assert path.read_bytes() == b"".join(line + b"\n" for line in read(path))
    assert broken_links(read_events(path)) == []
    assert [event.originator_version for event in events] == list(range(1, len(events) + 1))
    assert len({event.originator_id for event in events}) == 1
    assert len({event.id for event in events}) == len(events)
    assert all(event.id and milliseconds(event.at) for event in events)


@every_file
def test_a_changed_byte_breaks_the_chain(path: Path) -> None:
    events = read_events(path)
    for number in range(len(events) - 1):
        changed = [*events[:number], events[number].replace(b'"at":"2026', b'"at":"2027'), *events[number + 1 :]]
        assert broken_links(changed) == [number + 2]


def test_the_codec_reads_each_message_with_its_events() -> None:
    held = {path.parent.name: set[int]() for path in FILES}
    for path in FILES:
        codec: Codec[Any] = Codec(RequestEvent if path in REQUESTS else DirectoryEvent)
        history = [codec.recorded(number, line) for number, line in enumerate(read(path), 1)]
        assert [one.event for recorded in history for one in recorded] == events_of(path)
        assert [one.data for recorded in history for one in recorded] == read_events(path)
        held[path.parent.name] |= {len(recorded) for recorded in history}
    assert held.pop("v4") == {1, 2, 3, 5}
    assert all(counts == {1} for counts in held.values())  # as it was before


@every_request
def test_a_request_is_found_under_the_aggregate_that_its_names_give(path: Path) -> None:
    received = request_events(path)[0]
    assert isinstance(received, Received)
    expected = request_aggregate(InitiatorId(received.initiator_id), RequestId(received.request_id))
    assert received.originator_id == expected


@every_request
def test_a_request_is_decided_again_as_it_was(path: Path) -> None:
    """Each command is derived from the event that it led to, decided on what came before, and leads to it again."""
    first, *rest = request_events(path)
    state = evolve(fold([]), first)
    while rest:
        again = decide(state, _command(rest[0]))
        assert again == [_as_decided(event) for event in rest[: len(again)]]
        assert again, "the event was not decided again"
        state, rest = fold(rest[: len(again)], state), rest[len(again) :]


@every_request
def test_a_verdict_follows_again_from_the_votes(path: Path) -> None:
    state = fold(request_events(path))
    if state.verdict:
        votes = {voter: result.vote for voter, result in state.votes.items()}
        outcome = state.verdict.rule.decide(state.panel, votes)
        assert (state.verdict.final_vote, state.verdict.outcome_reason) == (outcome.final_vote, outcome.reason)


@every_request
def test_a_request_leads_to_its_rows_in_the_views(path: Path) -> None:
    state = fold(request_events(path))
    projection = RequestsProjection(content=True)
    for sequence, line in enumerate(read(path), 1):
        projection.apply(StoredMessage(sequence, f"{subjects.LOG_PREFIX}{request_events(path)[0].originator_id}", line))
    rows = projection._fold.take()
    assert {(vote.voter_id, vote.vote) for vote in rows.votes} == {(v.voter_id, v.vote) for v in state.votes.values()}
    [row] = rows.requests.values()
    assert row.verdict == (state.verdict.final_vote if state.verdict else None)


def test_every_kind_of_verdict_is_among_them() -> None:
    verdicts = [verdict for path in REQUESTS if (verdict := fold(request_events(path)).verdict)]
    assert {verdict.decided_by for verdict in verdicts} == {"votes", "early", "deadline"}
    assert {verdict.final_vote for verdict in verdicts} == {"pass", "fail"}
    assert {verdict.rule.strategy for verdict in verdicts} == {
        "minority_rule",
        "absolute_majority",
        "threshold",
        "unanimous",
        "veto",
        "weighted",
    }


def _command(event: RequestEvent) -> Command:
    now = milliseconds(event.at)
    match event:
        case VoterProgress(voter_id=voter, status=status):
            return ReportProgress(voter, ProgressBallot(task_id="", status=status), now)
        case VoterResult(voter_id=voter):
            ballot = ResultBallot(
                task_id="", vote=event.vote, reason=event.reason, confidence=event.confidence, failed=event.failed
            )
            return CastVote(voter, ballot, now, now)
        case Adjudicated(out=out) if out:
            return Withdraw(frozenset(out), now)
        case Adjudicated(decided_by="deadline"):
            return Expire(now)
    raise AssertionError(f"a {type(event).__name__} comes from a command that led to another event before it")


def _as_decided(event: RequestEvent) -> RequestEvent:
    """Without the envelope, which the log adds."""
    return msgspec.structs.replace(event, originator_id="", originator_version=0, id="", cause=0, trace="", prev="")


# --- Directory --------------------------------------------------------------------------------------------------------


def _directory() -> Directory:
    directory = Directory()
    for path in DIRECTORY:
        for event in read_events(path):
            directory.apply(decode_directory_event(event))
    return directory


def test_the_directory_is_read_as_it_was() -> None:
    directory = _directory()
    casper = directory.voters[VoterId("casper")]
    assert (casper.version, casper.kind, casper.group, casper.status) == (4, "nats", "default", "revoked")
    assert (casper.description, casper.reason) == ("Does it answer the question?", "replaced by casper-2")
    agent = directory.initiators[InitiatorId("agent")]
    assert (agent.version, agent.status, len(agent.tokens)) == (4, "active", 1)
    gone = directory.initiators[InitiatorId("gone")]
    assert (gone.version, gone.status, gone.tokens) == (3, "revoked", {})
    rotated = directory.initiators[InitiatorId("rotated")]
    until = "2026-11-24T06:00:00.000Z"
    assert (rotated.version, [token.expires for token in rotated.tokens.values()]) == (6, [until, until, ""])
    linter = directory.voters[VoterId("linter")]
    assert (linter.version, linter.status, linter.ejections, linter.until) == (9, "active", 2, "")
    assert (linter.weight, linter.capacity, linter.max_attempts) == (3.0, 16, 2)
    hook = directory.voters[VoterId("hook")]
    assert (hook.kind, hook.settings["url"], hook.settings["timeout_seconds"]) == (
        "http",
        "https://new.example/tasks",
        5.0,
    )
    assert directory.snapshot({}, 5).templates == {"code": ("melchior", "2 of llm")}


def test_its_tokens_name_whom_they_named() -> None:
    directory = _directory()
    issued = [e for path in DIRECTORY for e in events_of(path) if isinstance(e, initiators.TokenIssued)]
    named = [directory.authenticate(event.sha256) for event in issued]
    [token] = directory.initiators[InitiatorId("agent")].tokens
    rotated = [
        Principal(InitiatorId("rotated"), token) for token in directory.initiators[InitiatorId("rotated")].tokens
    ]
    assert [principal for principal in named if principal] == [Principal(InitiatorId("agent"), token), *rotated]
    assert (len(named), len(rotated)) == (6, 3)


def test_its_voters_tokens_name_them_until_they_are_revoked() -> None:
    directory = _directory()
    issued = [e for path in DIRECTORY for e in events_of(path) if isinstance(e, voters.VoterTokenIssued)]
    named = [directory.authenticate_voter(event.sha256) for event in issued]
    assert named == [None, VoterPrincipal(VoterId("judith"), issued[1].token_id)]


def test_its_aggregates_are_named_by_their_ids() -> None:
    def names() -> Iterator[tuple[str, str]]:
        for path in DIRECTORY:
            first = events_of(path)[0]
            if isinstance(first, voters.VoterRegistered):
                yield first.originator_id, voter_aggregate(VoterId(first.voter_id))
            elif isinstance(first, initiators.InitiatorRegistered):
                yield first.originator_id, initiator_aggregate(InitiatorId(first.initiator_id))
            elif isinstance(first, PanelDefined):
                yield first.originator_id, panel_aggregate(first.panel_id)
            elif isinstance(first, OperatorActed):
                yield first.originator_id, operations_aggregate("streams")

    assert len(list(names())) == len(DIRECTORY)
    assert all(stored == expected for stored, expected in names())
