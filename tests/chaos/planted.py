"""A run that went well, and everything that can be wrong with one: what the checker is tested with."""

from collections.abc import Callable
from typing import Any

import msgspec

from magi.domain.ids import AggregateId, VoterId
from magi.domain.messages import ResultBallot, Submission, Task, Vote
from magi.domain.panel import Candidate, Snapshot
from magi.domain.voting_request import (
    INITIAL,
    Adjudicated,
    CastVote,
    Expire,
    Received,
    RequestEvent,
    Submit,
    VoterResult,
    decide,
    fold,
)
from magi.eventstore.codec import Codec, pack
from magi.eventstore.history import EMPTY, Recorded
from magi.gateway import wire
from tests.chaos.checker import Evidence, aggregate_of, check
from tests.chaos.clients import Asked, Request
from tests.voters.judges import expected_vote

ABSENT = "ghost"
START = 1_769_860_800_000
VOTERS = Snapshot({VoterId(voter): Candidate("active") for voter in ("a", "b", "c", ABSENT)})
CODEC: Codec[RequestEvent] = Codec(RequestEvent)


class Run:
    """A run that can be tampered with before it is judged."""

    def __init__(self, together: int = 1) -> None:
        """Of what follows a request's beginning so many events are in one message of the log."""
        self.together = together
        self.events: dict[AggregateId, list[RequestEvent]] = {}
        self.asked: dict[str, Asked] = {}
        self.inbox: list[Any] = []
        self.tasks: list[Task] = []
        self.tampered: Callable[[list[Recorded[RequestEvent]]], list[Recorded[RequestEvent]]] = lambda log: log
        self.stored: Callable[[list[list[bytes]]], list[list[bytes]]] = lambda messages: messages
        """What becomes of the messages of the log, each the bytes of its events."""

    def play(self, name: str, *panel: str, when: str = "all") -> AggregateId:
        """A request that went as it should."""
        request = Request(name, "?", f"answer of {name}", panel, decide=when)
        asked = self.asked[name] = Asked(request, "initiator-0", sent=1)
        fields = msgspec.structs.asdict(request)
        submission = Submission(initiator_id="initiator-0", **fields)
        events = decide(INITIAL, Submit(submission, VOTERS, START))
        for voter in panel:
            if voter != ABSENT and not isinstance(events[-1], Adjudicated):
                ballot = ResultBallot(task_id="", vote=expected_vote(voter, request.agent_answer), reason="seen")
                events += decide(fold(events), CastVote(voter, ballot, START + 5, START + 5))
        events += decide(fold(events), Expire(START + request.timeout_ms))
        aggregate = aggregate_of(asked)
        self.events[aggregate] = events
        return aggregate

    def log(self) -> list[Recorded[RequestEvent]]:
        """The events as they would be stored, with a chain that is whole."""
        messages: list[list[bytes]] = []
        for aggregate, events in self.events.items():
            stamped = [data for _, data, _ in CODEC.stamp_all(events, aggregate, EMPTY)]
            messages += [stamped[:1], *(stamped[n : n + self.together] for n in range(1, len(stamped), self.together))]
        there = filter(None, self.stored(messages))
        return [recorded for n, events in enumerate(there, 1) for recorded in CODEC.recorded(n, pack(events))]

    def seen(self) -> None:
        """Each Initiator saw what is stored now."""
        for asked in self.asked.values():
            stored = [r.event for r in self.log() if r.event.originator_id == aggregate_of(asked)]
            asked.runs = [[wire.event(asked.request.request_id, event) for event in stored]]
            asked.last = len(stored)
            asked.final = bool(stored) and isinstance(stored[-1], Adjudicated)

    def problems(self) -> list[str]:
        evidence = Evidence(list(self.asked.values()), self.tampered(self.log()), self.inbox, self.tasks)
        return check(evidence, expected_vote, ABSENT)


def whole(run: Run) -> list[RequestEvent]:
    """The events of the first request: received, three votes, the verdict."""
    return run.events[aggregate_of(run.asked["whole"])]


# --- Faults in the log ---


def drop_the_verdict(run: Run) -> None:
    whole(run).pop()


def drop_the_request(run: Run) -> None:
    whole(run).clear()


def drop_a_vote(run: Run) -> None:
    del whole(run)[2]


def double_a_vote(run: Run) -> None:
    whole(run).insert(2, whole(run)[1])


def double_the_verdict(run: Run) -> None:
    whole(run).append(whole(run)[-1])


def double_the_beginning(run: Run) -> None:
    whole(run).insert(1, whole(run)[0])


def go_on_after_the_verdict(run: Run) -> None:
    whole(run).append(whole(run).pop(2))


def change(run: Run, number: int, **fields: Any) -> None:
    whole(run)[number] = msgspec.structs.replace(whole(run)[number], **fields)


def change_a_vote(run: Run) -> None:
    result = whole(run)[1]
    assert isinstance(result, VoterResult)
    other: Vote = "abstain" if result.vote != "abstain" else "pass"
    change(run, 1, vote=other)


def turn_the_verdict(run: Run) -> None:
    verdict = whole(run)[-1]
    assert isinstance(verdict, Adjudicated)
    change(run, -1, final_vote="fail" if verdict.final_vote == "pass" else "pass")


def change_the_details(run: Run) -> None:
    verdict = whole(run)[-1]
    assert isinstance(verdict, Adjudicated)
    change(run, -1, details={**verdict.details, "a": "missing"})


def change_the_content(run: Run) -> None:
    received = whole(run)[0]
    assert isinstance(received, Received)
    change(run, 0, content=msgspec.structs.replace(received.content, agent_answer="something else"))


def change_the_panel(run: Run) -> None:
    change(run, 0, voters=("a", "b"))


def lose_votes_to_a_deadline(run: Run) -> None:
    events = whole(run)[:2]
    whole(run)[:] = events + decide(fold(events), Expire(START + 60_000))


def decide_before_the_deadline(run: Run) -> None:
    events = run.events[aggregate_of(run.asked["late"])]
    events[-1] = msgspec.structs.replace(events[-1], at=events[0].at)


def let_the_absent_vote(run: Run) -> None:
    events = run.events[aggregate_of(run.asked["late"])][:-1]
    ballot = ResultBallot(task_id="", vote="pass")
    events += decide(fold(events), CastVote(ABSENT, ballot, START + 5, START + 5))
    run.events[aggregate_of(run.asked["late"])] = events


def decide_early_unasked(run: Run) -> None:
    events = run.events[aggregate_of(run.asked["early"])]
    events[0] = msgspec.structs.replace(events[0], decide="all")


def invent_a_request(run: Run) -> None:
    run.play("invented", "a")
    del run.asked["invented"]


def reorder_the_log(run: Run) -> None:
    def tampered(log: list[Recorded[RequestEvent]]) -> list[Recorded[RequestEvent]]:
        second, third = ([recorded for recorded in log if recorded.sequence == n] for n in (2, 3))
        return [log[0], *third, *second, *log[1 + len(second + third) :]]

    run.tampered = tampered


def drop_a_message_of_the_log(run: Run) -> None:
    run.tampered = lambda log: [*log[:2], *log[3:]]


def change_stored_bytes(run: Run) -> None:
    def tampered(log: list[Recorded[RequestEvent]]) -> list[Recorded[RequestEvent]]:
        data = log[1].data.replace(b'"seen"', b'"seem"')
        assert data != log[1].data
        return [log[0], *CODEC.recorded(2, data), *log[2:]]

    run.tampered = tampered


def give_two_events_one_name(run: Run) -> None:
    def tampered(log: list[Recorded[RequestEvent]]) -> list[Recorded[RequestEvent]]:
        event = msgspec.structs.replace(log[-1].event, id=log[0].event.id)
        return [*log[:-1], msgspec.structs.replace(log[-1], event=event)]

    run.tampered = tampered


def double_an_event_in_its_message(run: Run) -> None:
    run.stored = lambda messages: [messages[0], [messages[1][0], *messages[1]], *messages[2:]]


def store_a_message_twice(run: Run) -> None:
    run.stored = lambda messages: [*messages[:2], *messages[1:]]


def reorder_a_message(run: Run) -> None:
    run.stored = lambda messages: [messages[0], messages[1][::-1], *messages[2:]]


def drop_an_event_of_a_message(run: Run) -> None:
    run.stored = lambda messages: [messages[0], messages[1][1:], *messages[2:]]


def store_an_event_among_those_of_another(run: Run) -> None:
    """Each request's history is whole all the same."""
    run.stored = lambda messages: [
        *messages[:2],
        messages[2][:-1],
        [messages[2][-1], *messages[3]],
        *messages[4:],
    ]


BELOW_THE_EVENTS = (reorder_the_log, drop_a_message_of_the_log, change_stored_bytes)
"""Faults that an Initiator could not have seen."""


# --- Faults in what an Initiator saw ---


def drop_a_frame(asked: Asked) -> None:
    del asked.runs[0][2]


def double_a_frame(asked: Asked) -> None:
    asked.runs[0].insert(2, asked.runs[0][1])


def swap_frames(asked: Asked) -> None:
    asked.runs[0][1:3] = reversed(asked.runs[0][1:3])


def change_a_frame(asked: Asked) -> None:
    asked.runs[0][1] = asked.runs[0][1].replace(b"seen", b"seem")


def miss_the_end(asked: Asked) -> None:
    asked.runs[0].pop()
    asked.final = False


def miss_the_end_unnoticed(asked: Asked) -> None:
    asked.runs[0].pop()


def lose_what_came_between_connections(asked: Asked) -> None:
    asked.runs = [asked.runs[0][:2], asked.runs[0][3:]]


def see_something_again_after_a_reconnect(asked: Asked) -> None:
    asked.runs = [asked.runs[0][:3], asked.runs[0][2:]]


def begin_again_unasked(asked: Asked) -> None:
    asked.runs = [asked.runs[0][:3], asked.runs[0]]


def see_too_much(asked: Asked) -> None:
    asked.runs[0].append(asked.runs[0][-1].replace(b'"seq":5', b'"seq":6'))
