import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magi.domain.voting_request import Adjudicated, Received, RequestEvent, VoterResult, fold
from magi.projections.errors import CannotApply
from magi.projections.fold import Batch, LogFold, OpenRequest, latency_bucket, moment
from tests.projections.histories import Said, histories_of, in_messages, request, requests


def stamped(said: list[Said]) -> list[tuple[str, RequestEvent]]:
    versions: dict[str, int] = {}
    found = []
    for aggregate, event in said:
        versions[aggregate] = versions.get(aggregate, 0) + 1
        changed = msgspec.structs.replace(event, originator_id=aggregate, originator_version=versions[aggregate])
        found.append((aggregate, changed))
    return found  # type: ignore[return-value]


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_the_rows_say_what_the_fold_of_each_history_says(seed: int, number: int) -> None:
    said = requests(number, seed)
    rows = LogFold()
    for sequence, (aggregate, event) in enumerate(stamped(said), 1):
        rows.apply(aggregate, sequence, event)
    batch = rows.take()
    votes = {(vote.id, vote.voter_id): vote for vote in batch.votes}
    for aggregate, events in histories_of(said).items():
        state = fold(events)
        row = batch.requests[aggregate.partition(".")[2]]
        assert state.received
        assert (row.request_id, row.received_at) == (state.received.request_id, state.received.at)
        assert row.verdict == (state.verdict.final_vote if state.verdict else None)
        if state.verdict:
            tally = {"pass": row.tally_pass, "fail": row.tally_fail, "abstain": row.tally_abstain}
            assert {**tally, "missing": row.tally_missing} == state.verdict.tally
        for voter, result in state.votes.items():
            vote = votes.pop((row.id, voter))
            assert (vote.vote, vote.reason, vote.voted_at) == (result.vote, result.reason, result.at)
        assert (row.id in rows.open) == (state.verdict is None)
    assert not votes


@given(st.integers(0, 2**32), st.lists(st.integers(0, 80), max_size=5))
def test_however_events_are_cut_into_batches_and_memory_is_lost_the_sums_are_the_same(
    seed: int, cuts: list[int]
) -> None:
    events = stamped(requests(8, seed))
    at_once = LogFold()
    for sequence, (aggregate, event) in enumerate(events, 1):
        at_once.apply(aggregate, sequence, event)
    whole = at_once.take()
    rows = LogFold()
    passes: dict[str, int] = {}
    panels: dict[str, int] = {}
    votes = verdicts = 0
    for sequence, (aggregate, event) in enumerate(events, 1):
        rows.apply(aggregate, sequence, event)
        if sequence in cuts or sequence == len(events):
            part = rows.take()
            # What a projector remembers after a restart is what the tables hold of open requests.
            remembered = [(k, OpenRequest(v.received_ms, v.panel, set(v.voted))) for k, v in rows.open.items()]
            rows = LogFold(remembered)
            votes += len(part.votes)
            verdicts += len(part.verdicts) + sum(row.verdict is not None for row in part.requests.values())
            for voter, totals in part.totals.items():
                passes[voter] = passes.get(voter, 0) + totals.passes
                panels[voter] = panels.get(voter, 0) + totals.panels
    assert votes == len(whole.votes)
    assert verdicts == sum(row.verdict is not None for row in whole.requests.values())
    assert passes == {voter: totals.passes for voter, totals in whole.totals.items()}
    assert panels == {voter: totals.panels for voter, totals in whole.totals.items()}


def rows_of(batch: Batch) -> dict[str, object]:
    """All that a batch adds, without where it is stored."""
    rows: dict[str, object] = {name: msgspec.to_builtins(value) for name, value in vars(batch).items()}
    for row in (*rows["requests"].values(), *rows["votes"], *rows["verdicts"]):  # type: ignore[attr-defined, misc]
        for name in ("received_seq", "decided_seq", "seq"):
            row.pop(name, None)
    return rows


@given(st.integers(0, 2**32), st.integers(0, 2**32), st.integers(0, 10))
def test_events_that_are_stored_together_lead_to_the_rows_that_they_lead_to_one_by_one(
    seed: int, other_seed: int, number: int
) -> None:
    messages = in_messages(requests(number, seed), other_seed)
    events = iter(stamped([one for message in messages for one in message]))
    together, one_by_one = LogFold(), LogFold()
    for sequence, message in enumerate(messages, 1):
        of_it = [next(events) for _ in message]
        together.apply(of_it[0][0], sequence, *(event for _, event in of_it))
        for aggregate, event in of_it:
            one_by_one.apply(aggregate, sequence, event)
    assert together.open == one_by_one.open
    batch = together.take()
    assert rows_of(batch) == rows_of(one_by_one.take())
    where = {(vote.id, vote.voter_id): vote.seq for vote in batch.votes}
    for sequence, message in enumerate(messages, 1):
        for said in message:
            if isinstance(said.event, VoterResult):
                assert where[said.aggregate.partition(".")[2], said.event.voter_id] == sequence


def history() -> list[tuple[str, RequestEvent]]:
    """Received, a vote and a verdict, at least."""
    from random import Random

    for seed in range(100):
        found = stamped(request("r", Random(seed)))
        if any(isinstance(e, VoterResult) for _, e in found) and isinstance(found[-1][1], Adjudicated):
            return found
    raise AssertionError("no such history")


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    events = history()
    aggregate, received = events[0]
    vote = next(event for _, event in events if isinstance(event, VoterResult))
    verdict = events[-1][1]
    assert isinstance(received, Received)
    assert isinstance(verdict, Adjudicated)
    replace = msgspec.structs.replace
    rows = LogFold()
    with pytest.raises(CannotApply, match="no open request"):
        rows.apply(aggregate, 1, vote)
    with pytest.raises(CannotApply, match="belongs to"):
        rows.apply("agent.other", 1, received)
    with pytest.raises(CannotApply, match="expected a time"):
        rows.apply(aggregate, 1, replace(received, at="yesterday"))
    with pytest.raises(CannotApply, match="version"):
        rows.apply(aggregate, 1, replace(received, originator_version=2))
    with pytest.raises(CannotApply, match="initiator_id"):
        rows.apply(aggregate, 1, replace(received, initiator_id="another"))
    assert not rows.open
    rows.apply(aggregate, 1, received)
    for bad, match in (
        (received, "received already"),
        (replace(vote, voter_id="stranger"), "not on the panel"),
        (replace(verdict, details={"stranger": "pass"}), "not the voters"),
    ):
        with pytest.raises(CannotApply, match=match):
            rows.apply(aggregate, 2, bad)
    rows.apply(aggregate, 2, vote)
    with pytest.raises(CannotApply, match="voted already"):
        rows.apply(aggregate, 3, vote)
    rows.apply(aggregate, 3, verdict)
    with pytest.raises(CannotApply, match="no open request"):
        rows.apply(aggregate, 4, verdict)
    batch = rows.take()
    assert (len(batch.requests), len(batch.votes), len(batch.verdicts)) == (1, 1, 0)
    assert sum(totals.panels for totals in batch.totals.values()) == len(received.voters)


def test_of_what_is_stored_together_nothing_is_folded_in_when_one_event_does_not_fit() -> None:
    events = history()
    aggregate, received = events[0]
    vote = next(event for _, event in events if isinstance(event, VoterResult))
    verdict = events[-1][1]
    replace = msgspec.structs.replace
    assert isinstance(verdict, Adjudicated)
    empty = rows_of(Batch())
    rows = LogFold()
    together: tuple[RequestEvent, ...]
    for together, match in (
        ((received, replace(vote, voter_id="stranger")), "event 2 of 2: .*not on the panel"),
        ((received, received), "event 2 of 2: .*received already"),
        ((received, vote, vote), "event 3 of 3: .*voted already"),
        ((received, vote, verdict, vote), "event 4 of 4: no open request"),
        ((received, replace(vote, originator_id="agent.other")), "event 2 of 2: .*belongs to"),
    ):
        with pytest.raises(CannotApply, match=match):
            rows.apply(aggregate, 1, *together)
        assert not rows.open
        assert rows_of(rows.take()) == empty
    rows.apply(aggregate, 1, received)
    rows.take()
    known = dict(rows.open)
    for together, match in (
        ((vote, vote), "event 2 of 2: .*voted already"),
        ((vote, verdict, verdict), "event 3 of 3: no open request"),
        ((vote, replace(verdict, at="later")), "event 2 of 2: expected a time"),
        ((vote, replace(verdict, details={"stranger": "pass"})), "event 2 of 2: .*not the voters"),
    ):
        with pytest.raises(CannotApply, match=match):
            rows.apply(aggregate, 2, *together)
        assert rows.open == known
        assert rows_of(rows.take()) == empty
    rows.apply(aggregate, 2, vote, verdict)
    assert not rows.open
    batch = rows.take()
    assert ([row.seq for row in batch.votes], [row.decided_seq for row in batch.verdicts]) == ([2], [2])


@given(st.integers(0, 10**12))
def test_a_latency_bucket_is_at_most_a_sixteenth_too_low(ms: int) -> None:
    assert ms - ms / 16 <= latency_bucket(ms) <= ms
    assert latency_bucket(latency_bucket(ms)) == latency_bucket(ms)


@pytest.mark.parametrize(
    ("text", "as_written"),
    [
        ("2026-01-31T12:00:00.250Z", "2026-01-31T12:00:00.250Z"),
        ("2026-01-31T13:00:00.250+01:00", "2026-01-31T12:00:00.250Z"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
    ],
)
def test_times_of_any_form_become_ours(text: str, as_written: str) -> None:
    assert moment(text).text == as_written
    assert moment(text) == moment(as_written)


@pytest.mark.parametrize(
    "text", ["", "2026-01-31T12:00:00.250", "2026-99-31T12:00:00.250Z", "2026-01-31T12:00:00.+50Z"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(CannotApply):
        moment(text)
