"""What each command leads to, from every kind of history; sequences of them are in test_voting_request_machine.py."""

from typing import Any

import msgspec
import pytest

from magi.domain.errors import (
    AlreadyVoted,
    InvalidMessage,
    Late,
    NotOnPanel,
    NoVoters,
    RequestConflict,
    StrategyMissing,
    UnknownStrategy,
    UnknownTask,
    UnknownVoter,
    VoterUnavailable,
)
from magi.domain.ids import VoterId
from magi.domain.panel import Candidate, Snapshot
from magi.domain.strategies import Rule
from magi.domain.voting_request import (
    INITIAL,
    MAX_PROGRESS,
    Adjudicated,
    RequestEvent,
    Withdraw,
    content_digest,
    decide,
    fold,
)
from tests.domain.requests import (
    DEADLINE,
    REQUEST,
    START,
    casts,
    expires,
    progress,
    received,
    reports,
    result,
    submission,
    submit,
    verdict,
)

given = REQUEST.given

# --- Submit -----------------------------------------------------------------------------------------------------------


def test_a_submission_is_received_with_its_panel_rule_and_deadline() -> None:
    given().when(submit()).then(received())


def test_the_deadline_is_counted_from_reception() -> None:
    event = received(timeout_ms=250)
    assert (event.at, event.deadline) == ("2026-01-31T12:00:00.000Z", "2026-01-31T12:00:00.250Z")
    given().when(submit(timeout_ms=250)).then(event)


def test_the_strategy_is_fitted_to_the_panel() -> None:
    rule = Rule("threshold", {"k": 2, "ratio": 0.6})
    asked = {"name": "threshold", "ratio": 0.6}
    given().when(submit(voter_list=("a", "b", "c"), strategy=asked)).then(received("abc", rule, strategy=asked))


def test_a_panel_that_nobody_named_is_chosen_from_the_directory() -> None:
    [event] = decide(INITIAL, submit(voter_list=()))
    assert REQUEST.fold([event]).panel == ("a", "b", "c", "d")


def test_the_panel_stays_when_the_directory_changes() -> None:
    nobody = Snapshot({VoterId("a"): Candidate("revoked")})
    given(received()).when(submit(nobody)).then_nothing()
    given(received()).when(casts("a", "pass")).then(result("a", "pass"))


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (submit(voter_list=("a", "z")), UnknownVoter),
        (submit(Snapshot({VoterId("a"): Candidate("suspended")}), voter_list=("a",)), VoterUnavailable),
        (submit(voter_list=("a", "b", "a")), InvalidMessage),
        (submit(Snapshot({}), voter_list=()), NoVoters),
        (submit(strategy="plurality"), UnknownStrategy),
        (submit(strategy={"name": "threshold", "k": 3}), UnknownStrategy),
    ],
)
def test_a_submission_that_no_panel_or_rule_fits_is_refused(command: Any, refusal: Any) -> None:
    given().when(command).then_refused(refusal)


def test_the_same_submission_again_changes_nothing_at_any_time() -> None:
    for length in range(1, len(DECIDED) + 1):
        again = submit(now=DEADLINE + 1, voter_list=("a", "b", "c"), decide="early")
        given(*DECIDED[:length]).when(again).then_nothing()


@pytest.mark.parametrize(
    "other",
    [
        {"user_query": "another"},
        {"agent_answer": "another"},
        {"voter_list": ("b", "a")},
        {"strategy": "unanimous"},
        {"decide": "early"},
        {"timeout_ms": 1},
        {"metadata": {"model": "other"}},
    ],
    ids=lambda other: next(iter(other)),
)
def test_the_same_request_id_with_other_content_is_a_conflict(other: dict[str, Any]) -> None:
    given(received()).when(submit(**other)).then_refused(RequestConflict, "request_id")


def test_neither_the_order_of_metadata_nor_the_trace_makes_another_request() -> None:
    one = submission(metadata={"a": 1, "b": {"c": 1, "d": 2}}, trace="00-1-1-01")
    two = submission(metadata={"b": {"d": 2, "c": 1}, "a": 1})
    assert content_digest(one) == content_digest(two)


def test_the_digest_of_a_submission_is_the_same_for_ever() -> None:
    """It is compared with digests that were stored years ago."""
    asked = submission(strategy={"name": "threshold", "ratio": 0.7}, metadata={"model": "gpt-x", "n": 1.5, "ü": None})
    assert content_digest(asked) == "b3fca4e2fd92582e6b25aec10423a6a64bcb29184b3f9fb96bd9248ead36e7a0"


# --- Votes ------------------------------------------------------------------------------------------------------------


def test_the_example_of_the_protocol() -> None:
    given(received(), progress("a"), result("a", "pass")).when(casts("b", "fail", reason="no", confidence=0.9)).then(
        result("b", "fail", reason="no", confidence=0.9),
        verdict("fail tie", "a:pass b:fail"),
    )


def test_a_vote_that_leaves_others_outstanding_is_only_counted() -> None:
    given(received()).when(casts("a", "pass")).then(result("a", "pass"))


def test_the_last_vote_brings_the_verdict() -> None:
    given(received("abc"), result("a", "pass"), result("b", "abstain")).when(casts("c", "pass")).then(
        result("c", "pass"), verdict("pass majority", "a:pass b:abstain c:pass")
    )


def test_a_panel_that_only_abstains_fails() -> None:
    given(received(), result("a", "abstain")).when(casts("b", "abstain")).then(
        result("b", "abstain"), verdict("fail quorum", "a:abstain b:abstain")
    )


def test_a_verdict_is_not_early_unless_asked_for() -> None:
    given(received("abc"), result("a", "pass")).when(casts("b", "pass")).then(result("b", "pass"))


def test_a_verdict_is_early_when_the_rest_cannot_change_it() -> None:
    given(received("abc", decide="early"), result("a", "pass")).when(casts("b", "pass")).then(
        result("b", "pass"), verdict("pass majority", "a:pass b:pass c:missing", by="early")
    )


def test_the_last_vote_decides_by_votes_even_where_early_is_asked_for() -> None:
    given(received("abc", decide="early"), result("a", "pass"), result("b", "fail")).when(casts("c", "pass")).then(
        result("c", "pass"), verdict("pass majority", "a:pass b:fail c:pass")
    )


def test_the_same_vote_again_counts_once() -> None:
    given(received("abc"), result("a", "pass")).when(casts("a", "pass", now=START + 9)).then_nothing()


@pytest.mark.parametrize(
    "ballot", [casts("a", "fail"), casts("a", "pass", reason="other"), casts("a", "pass", confidence=0.5)]
)
def test_a_vote_cannot_be_changed(ballot: Any) -> None:
    given(received("abc"), result("a", "pass")).when(ballot).then_refused(AlreadyVoted, "'a' has voted 'pass' already")


DECIDED: list[RequestEvent] = [
    received("abc", decide="early"),
    result("a", "pass"),
    result("b", "pass"),
    verdict("pass majority", "a:pass b:pass c:missing", by="early"),
]


def test_after_the_verdict_the_counted_votes_may_come_again_and_others_are_late() -> None:
    given(*DECIDED).when(casts("a", "pass")).then_nothing()
    given(*DECIDED).when(casts("a", "fail")).then_refused(AlreadyVoted)
    given(*DECIDED).when(casts("c", "fail")).then_refused(Late, "the request is decided")


def test_a_vote_is_in_time_until_the_deadline_by_when_it_reached_the_inbox() -> None:
    before, after = DEADLINE - 1, DEADLINE + 999
    given(received()).when(casts("a", "pass", now=before)).then(result("a", "pass", now=before))
    given(received()).when(casts("a", "pass", after, arrived=before)).then(result("a", "pass", now=after))
    given(received()).when(casts("a", "pass", now=DEADLINE)).then_refused(Late, "the deadline has passed")


def test_a_ballot_for_nothing_or_from_nobody_is_refused() -> None:
    for ballot in (casts("a", "pass"), reports("a")):
        given().when(ballot).then_refused(UnknownTask, "task_id")
    for ballot in (casts("z", "pass"), reports("z")):
        given(received()).when(ballot).then_refused(NotOnPanel, "'z' is not on the panel")
        given(*DECIDED).when(ballot).then_refused(NotOnPanel)


def test_a_crash_between_the_last_vote_and_the_verdict_is_healed_by_the_ballot_that_comes_again() -> None:
    given(received(), result("a", "pass"), result("b", "fail")).when(casts("b", "fail", now=START + 9)).then(
        verdict("fail tie", "a:pass b:fail", now=START + 9)
    )


def test_so_is_one_before_an_early_verdict() -> None:
    given(*DECIDED[:-1]).when(casts("a", "pass")).then(DECIDED[-1])


def test_a_vote_is_not_lost_to_a_strategy_that_is_not_installed() -> None:
    state = REQUEST.fold([received("a", Rule("no_such_strategy"))])
    with pytest.raises(StrategyMissing, match="no_such_strategy"):
        decide(state, casts("a", "pass"))


# --- Deadline ---------------------------------------------------------------------------------------------------------


def test_at_the_deadline_the_outstanding_votes_are_missing() -> None:
    given(received("abc"), result("a", "pass")).when(expires()).then(
        verdict("fail quorum", "a:pass b:missing c:missing", by="deadline", now=DEADLINE)
    )


def test_a_deadline_without_any_vote_fails() -> None:
    given(received()).when(expires()).then(verdict("fail quorum", "a:missing b:missing", by="deadline", now=DEADLINE))


def test_a_quorum_at_the_deadline_is_enough() -> None:
    given(received("abc"), result("a", "pass"), result("b", "pass")).when(expires(DEADLINE + 5)).then(
        verdict("pass majority", "a:pass b:pass c:missing", by="deadline", now=DEADLINE + 5)
    )


def test_a_timer_that_fires_too_soon_or_for_nothing_changes_nothing() -> None:
    given(received()).when(expires(DEADLINE - 1)).then_nothing()
    given().when(expires()).then_nothing()
    given(*DECIDED).when(expires()).then_nothing()


def test_votes_that_were_all_in_when_the_orchestrator_died_decide_by_votes_at_the_deadline() -> None:
    given(received(), result("a", "pass"), result("b", "pass")).when(expires()).then(
        verdict("pass majority", "a:pass b:pass", now=DEADLINE)
    )


# --- Revoked voters ---------------------------------------------------------------------------------------------------


def out(*voters: str, now: int = START + 5) -> Withdraw:
    return Withdraw(frozenset(voters), now)


def gone(event: Adjudicated, *voters: str) -> Adjudicated:
    return msgspec.structs.replace(event, out=voters)


def test_a_request_that_waits_only_for_revoked_voters_is_decided() -> None:
    given(received("abc"), result("a", "pass"), result("b", "pass")).when(out("c", "z", now=START + 1)).then(
        gone(verdict("pass majority", "a:pass b:pass c:missing", by="early"), "c")
    )
    given(received()).when(out("a", "b", now=START + 1)).then(
        gone(verdict("fail quorum", "a:missing b:missing", by="early"), "a", "b")
    )


def test_one_that_waits_for_others_too_goes_on() -> None:
    given(received("abc"), result("a", "pass")).when(out("c")).then_nothing()
    given(received("abc"), result("a", "pass")).when(out("a")).then_nothing()
    given(received("abc")).when(out()).then_nothing()
    given().when(out("a")).then_nothing()
    given(*DECIDED).when(out("c")).then_nothing()


def test_the_last_vote_that_can_come_brings_the_verdict() -> None:
    ballot = casts("b", "pass")._replace(out=frozenset("c"))
    given(received("abc"), result("a", "pass")).when(ballot).then(
        result("b", "pass"), gone(verdict("pass majority", "a:pass b:pass c:missing", by="early"), "c")
    )


def test_an_early_verdict_counts_the_revoked_as_missing() -> None:
    history = (received("abcde", decide="early"), result("a", "fail"), result("b", "fail"))
    given(*history).when(out(now=START + 1)).then_nothing()
    given(*history).when(out("c", now=START + 1)).then(
        gone(verdict("fail quorum", "a:fail b:fail c:missing d:missing e:missing", by="early"), "c")
    )
    all_ = (received("abcde"), *history[1:])
    given(*all_).when(out("c")).then_nothing()


def test_what_a_revoked_voter_sends_is_refused_and_its_vote_that_was_counted_stays() -> None:
    revoked = frozenset("c")
    for ballot in (casts("c", "pass")._replace(out=revoked), reports("c")._replace(out=revoked)):
        given(received("abc")).when(ballot).then_refused(VoterUnavailable, "'c' is revoked")
    given(received("abc"), result("c", "pass")).when(casts("c", "pass")._replace(out=revoked)).then_nothing()
    given(received("abc"), result("c", "pass"), result("a", "pass")).when(
        casts("b", "pass")._replace(out=revoked)
    ).then(result("b", "pass"), verdict("pass majority", "a:pass b:pass c:pass"))


def test_a_deadline_does_not_tell_who_was_revoked() -> None:
    assert "out" not in msgspec.to_builtins(verdict("fail quorum", "a:pass b:missing c:missing", by="deadline"))


# --- Progress ---------------------------------------------------------------------------------------------------------


def test_progress_is_told_once_a_status() -> None:
    given(received()).when(reports("a")).then(progress("a"))
    given(received(), progress("a")).when(reports("a")).then_nothing()
    given(received(), progress("a")).when(reports("a", "reading")).then(progress("a", "reading"))
    given(received(), progress("a")).when(reports("b")).then(progress("b"))


def test_progress_after_the_vote_or_the_verdict_is_dropped() -> None:
    given(received(), result("a", "pass")).when(reports("a")).then_nothing()
    given(*DECIDED).when(reports("c")).then_nothing()


def test_a_voter_cannot_fill_the_log_with_progress() -> None:
    history: list[RequestEvent] = [received(), *(progress("a", f"step {n}") for n in range(MAX_PROGRESS))]
    given(*history).when(reports("a", "one more")).then_nothing()
    given(*history[:-1]).when(reports("a", "one more")).then(progress("a", "one more"))
    given(*history).when(reports("b")).then(progress("b"))


# --- State ------------------------------------------------------------------------------------------------------------


def test_the_state_tells_the_panel_who_is_outstanding_and_the_deadline() -> None:
    assert (INITIAL.panel, INITIAL.outstanding, INITIAL.deadline) == ((), (), 0)
    state = fold([received("abc"), result("b", "pass")])
    assert (state.panel, state.outstanding, state.deadline, state.version) == (("a", "b", "c"), ("a", "c"), DEADLINE, 2)
    assert fold(DECIDED).outstanding == ()


def test_folding_leaves_earlier_states_as_they_were() -> None:
    first = fold([received()])
    fold([result("a", "pass")], first)
    assert first.votes == {}
    assert first == fold([received()])


def test_a_verdict_as_stored_says_what_it_followed_from() -> None:
    stored = msgspec.to_builtins(verdict("fail tie", "a:pass b:fail"))
    assert {key: stored[key] for key in ("final_vote", "details", "rule", "tally", "decided_by", "outcome_reason")} == {
        "final_vote": "fail",
        "details": {"a": "pass", "b": "fail"},
        "rule": {"strategy": "minority_rule", "parameters": {"quorum": 2}},
        "tally": {"pass": 1, "fail": 1, "abstain": 0, "missing": 0},
        "decided_by": "votes",
        "outcome_reason": "tie",
    }
