"""Replaying a log."""

import msgspec

from magi.audit.events import NO_CONTENT, request_event
from magi.audit.labels import read_labels
from magi.audit.replay import Fold, Replay, Replayed, step_by_step
from magi.audit.what_if import Alternative
from magi.domain.clock import milliseconds
from magi.domain.voting_request import fold
from tests.audit.histories import START, Book, changed, codec, rewritten, sound_book


def run(book: Book, replay: Replay) -> list[Replayed]:
    return [found for message in book.messages for found in replay.feed(message)]


def mixed() -> Book:
    book = Book()
    book.request("agreed", a="pass", b="pass", c="pass")
    book.request("split", now=START + 60_000, a="pass", b="fail", c="pass")
    book.request("failed", now=START + 120_000, a="fail", b="fail", c="pass")
    book.receive("open", now=START + 180_000)
    return book


def test_a_sound_log_is_decided_again_as_it_was() -> None:
    replay = Replay()
    found = run(mixed(), replay)
    assert [one.request.received.request_id for one in found] == ["agreed", "split", "failed"]
    assert not any(one.differences or one.changed or one.problem for one in found)
    assert (replay.requests, replay.open, replay.different, replay.changed) == (3, 1, 0, 0)
    assert replay.recorded == replay.again == {"pass": 2, "fail": 1}
    assert replay.examples == []


def test_another_rule_changes_some_verdicts() -> None:
    replay = Replay(Alternative("veto"))
    found = run(mixed(), replay)
    assert [(one.final_vote, one.changed) for one in found] == [("pass", False), ("fail", True), ("fail", False)]
    assert (replay.changed, replay.different) == (1, 0)
    assert replay.again == {"pass": 1, "fail": 2}
    assert [one.request.received.request_id for one in replay.examples] == ["split"]


def test_a_rule_that_fits_some_panels_only_is_counted() -> None:
    book = mixed()
    book.request("pair", panel=("a", "b"), a="pass", b="pass")
    replay = Replay(Alternative({"name": "threshold", "k": 3}))
    run(book, replay)
    assert replay.again == {"pass": 1, "fail": 2, "not applicable": 1}
    assert list(replay.inapplicable.values()) == [1]
    assert not replay.problems


def test_the_votes_that_were_needed_are_counted() -> None:
    book = mixed()
    book.request("late", now=START + 240_000, a="pass", b="pass")
    replay = Replay()
    run(book, replay)
    assert replay.needed == {2: 3, 3: 1}  # two equal votes of three decide; a split one takes the third
    assert replay.cast_in_time == 11
    assert replay.certain_early == 2
    silent = Book()
    silent.request("silent", a="pass")
    replay = Replay()
    run(silent, replay)
    assert replay.needed == {-1: 1}


def test_errors_are_counted_of_the_recorded_verdicts_and_of_the_others() -> None:
    lines = ["request_id,label\n", "agreed,fail\n", "split,fail\n", "failed,pass\n", "nobody,pass\n"]
    replay = Replay(Alternative("veto"), read_labels(lines))
    run(mixed(), replay)
    assert (replay.errors.false_accepts, replay.errors.bad) == (2, 2)
    assert (replay.errors_again.false_accepts, replay.errors_again.bad) == (1, 2)
    assert (replay.errors.false_rejects, replay.errors_again.false_rejects) == (1, 1)


def test_a_verdict_that_does_not_follow_is_different() -> None:
    book = sound_book()
    verdict = next(i for i, m in enumerate(book.messages) if b"adjudicated" in m.data)
    book.messages = rewritten(changed(book.messages, verdict, b'"final_vote":"pass"', b'"final_vote":"fail"'))
    replay = Replay()
    found = run(book, replay)
    assert [str(d) for d in found[0].differences] == ["final_vote is fail, decided again it is pass"]
    assert replay.different == 1
    assert found[0].changed


def test_a_missing_strategy_is_a_problem_and_no_difference() -> None:
    book = sound_book()
    for place, message in enumerate(book.messages):
        book.messages[place] = msgspec.structs.replace(
            message, data=message.data.replace(b'"strategy":"minority_rule"', b'"strategy":"gone"')
        )
    replay = Replay()
    run(book, replay)
    assert replay.different == 0
    assert list(replay.problems) == ["strategy gone: not installed here"]
    assert replay.again == {"not applicable": 3}


def test_only_the_requests_that_are_wanted_are_replayed() -> None:
    replay = Replay(wanted=lambda received: milliseconds(received.at) >= START + 60_000)
    assert [one.request.received.request_id for one in run(mixed(), replay)] == ["split", "failed"]


def test_unreadable_events_are_counted_and_their_requests_left_out() -> None:
    book = mixed()
    book.messages[0] = msgspec.structs.replace(book.messages[0], data=b"junk")
    replay = Replay()
    assert len(run(book, replay)) == 2
    assert replay.unreadable == 1


def test_states_are_held_without_content_and_only_while_open() -> None:
    book = mixed()
    kept = Fold()
    sizes = []
    for message in book.messages:
        decided = kept.take(request_event(message.data))
        if decided:
            assert decided.received.content == NO_CONTENT
        sizes.append(kept.open)
    assert max(sizes) == 1


def test_step_by_step_gives_the_state_after_each_event() -> None:
    book = sound_book()
    events = [codec.decode(m.data) for m in book.of(book.messages[0].subject)]
    steps = list(step_by_step(events))
    assert [state.version for _, state in steps] == list(range(1, len(events) + 1))
    assert steps[-1][1] == fold(events)
