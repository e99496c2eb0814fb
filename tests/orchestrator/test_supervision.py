"""Voters that don't answer, on a real nats-server: out after a few requests, tried, and back. Verdicts don't wait."""

from collections.abc import Sequence
from typing import Any

from magi.domain import voter_commands as voters
from magi.domain.ids import AggregateId, VoterId, task_id
from magi.domain.messages import Opinion, ResultBallot, Task, encode
from magi.domain.voter import VoterEvent, VoterKept, VoterOnProbation, VoterReinstated, VoterRevoked, VoterSuspended
from magi.domain.voting_request import Adjudicated, Received
from magi.eventstore.directory import DirectoryView, change_voter
from magi.eventstore.presence import now_ms
from magi.orchestrator.alerts import Alert, Alerts
from magi.orchestrator.effects import Effects
from magi.orchestrator.health import HealthSettings
from magi.orchestrator.orchestrator import Orchestrator
from magi.orchestrator.supervision import BY, Supervision
from tests.orchestrator.world import World
from tests.waiting import until

QUICK = HealthSettings(consecutive=3, first_seconds=0.3, longest_seconds=1.2, least_seconds=0.1)
SLOW = HealthSettings(consecutive=3, first_seconds=600, least_seconds=0.1)


async def passes(task: Task) -> Opinion:
    return Opinion.passes()


async def fails(task: Task) -> Opinion:
    return Opinion.fails()


async def changes(world: World, voter: str) -> list[VoterEvent]:
    """What the directory says of a voter after its registration."""
    stored = await world.directory.load(f"voter.{voter}")  # type: ignore[arg-type]
    return [recorded.event for recorded in stored[1:]]  # type: ignore[misc]


async def until_changed(world: World, voter: str, *kinds: type[VoterEvent], within: float = 30.0) -> list[Any]:
    """Wait until the voter's events end with these."""

    async def there() -> bool:
        return [type(event) for event in await changes(world, voter)][-len(kinds) :] == list(kinds)

    await until(there, f"{voter} has {[kind.__name__ for kind in kinds]}", within)
    return await changes(world, voter)


async def decide(world: World, count: int = 1, timeout_ms: int = 300, named: Sequence[str] = ()) -> list[Adjudicated]:
    """The verdicts of so many requests, one after the other."""
    verdicts = []
    for _ in range(count):
        asked = await world.submit(voter_list=tuple(named), timeout_ms=timeout_ms)
        await world.until_decided(asked.aggregate)
        verdicts.append(await world.check(asked.aggregate))
    return verdicts


async def seen(world: World, orchestrator: Orchestrator, kind: type[VoterEvent], raised: str) -> None:
    """Wait until c has had such an event, and its alert was raised."""
    await until_changed(world, "c", kind)

    async def told() -> bool:
        return orchestrator.alerts.raised[raised] > 0  # type: ignore[index]

    await until(told, f"{raised} was raised")


# --- The whole way ----------------------------------------------------------------------------------------------------


async def test_a_voter_that_never_answers_costs_a_few_verdicts_their_time_and_comes_back_when_it_does(
    world: World,
) -> None:
    orchestrator = await world.orchestrator(health=QUICK)
    for name in "ab":
        await world.voter(name, passes)
    late = await decide(world, 3)
    assert [v.decided_by for v in late] == ["deadline"] * 3
    await seen(world, orchestrator, VoterSuspended, "voter.ejected")

    (ejected,) = await changes(world, "c")
    assert isinstance(ejected, VoterSuspended)
    assert ejected.reason == "3 time-outs in a row"
    assert ejected.by.startswith(BY)
    assert ejected.until

    async def without_c() -> bool:  # its copy of the directory may be a moment behind
        (verdict,) = await decide(world, timeout_ms=5000)
        return set(verdict.details) == {"a", "b"} and verdict.decided_by == "votes"

    await until(without_c, "panels are formed without it, and nobody waits")

    await world.voter("c", fails)

    async def back() -> bool:
        (verdict,) = await decide(world, timeout_ms=5000)
        return "c" in verdict.details

    await until(back, "it is on panels again", within=30)
    happened = [type(event) for event in await changes(world, "c")]
    assert happened[-1] is VoterReinstated
    assert VoterOnProbation in happened
    await world.until_inbox_empty()
    assert world.refusals == [], "no vote on a probe was taken for that of a stranger"
    assert orchestrator.alerts.raised["voter.ejected"] == 1
    assert orchestrator.alerts.raised["voter.recovered"] == 1


async def test_a_voter_that_does_not_answer_a_probe_is_out_for_twice_as_long(world: World) -> None:
    orchestrator = await world.orchestrator(health=QUICK)
    for name in "ab":
        await world.voter(name, passes)
    await decide(world, 3)
    await seen(world, orchestrator, VoterSuspended, "voter.ejected")

    async def tried() -> bool:
        await decide(world)
        return VoterOnProbation in [type(event) for event in await changes(world, "c")]

    await until(tried, "it is tried")
    events = await until_changed(world, "c", VoterSuspended, VoterOnProbation, VoterSuspended)
    first, _, second = events
    assert (first.ejections, second.ejections) == (1, 2)
    assert second.reason == "it did not answer a probe"
    assert orchestrator.alerts.raised["voter.on_probation"] == 1
    await seen(world, orchestrator, VoterSuspended, "voter.ejected_again")


async def test_the_vote_on_a_probe_does_not_count(world: World) -> None:
    await world.orchestrator(health=QUICK)
    await change_voter(world.directory, voters.Eject("c", "", "test", now_ms(), first=1))
    asked: list[AggregateId] = []

    async def probed() -> list[AggregateId]:
        tasks = {task.task_id for task in await world.tasks("c")}
        panels = {one: (await world.history(one))[:1] for one in asked if task_id(one, VoterId("c")) in tasks}
        return [one for one, [first] in panels.items() if isinstance(first, Received) and "c" not in first.voters]

    async def tried() -> bool:
        one = (await world.submit(voter_list=(), timeout_ms=20_000)).aggregate
        await world.until_events(one, 1)
        asked.append(one)
        return bool(await probed())

    await until(tried, "it is tried with a request whose panel it is not on")
    (one,) = await probed()
    for _ in range(2):  # it may come twice
        await world.vote(one, "c", "fail")
    await until_changed(world, "c", VoterReinstated)
    await world.votes(one, a="pass", b="pass")
    await world.until_decided(one)
    assert (await world.check(one)).details == {"a": "pass", "b": "pass"}
    assert world.refusals == []


async def test_nobody_sees_content_that_was_given_to_a_named_panel(world: World) -> None:
    orchestrator = await world.orchestrator(health=QUICK)
    await change_voter(world.directory, voters.Eject("c", "", "test", now_ms(), first=1))
    await decide(world, 3, named="ab")
    assert await world.tasks("c") == []
    assert orchestrator.alerts.raised["voter.on_probation"] == 0


async def test_a_voter_that_nothing_tries_comes_back_by_itself(world: World) -> None:
    orchestrator = await world.orchestrator(health=QUICK)
    await change_voter(world.directory, voters.Eject("c", "", "test", now_ms(), first=1))
    await seen(world, orchestrator, VoterReinstated, "voter.recovered")


# --- What counts ------------------------------------------------------------------------------------------------------


async def test_votes_of_one_that_could_not_judge_count_against_it(world: World) -> None:
    await world.orchestrator(health=SLOW)
    for _ in range(3):
        asked = await world.submit()
        task = task_id(asked.aggregate, VoterId("c"))
        failed = ResultBallot(task_id=task, vote="abstain", reason="no answer", failed=True)
        await world.ballot(asked.aggregate, "c", encode(failed))
        await world.votes(asked.aggregate, a="pass", b="pass")
        await world.until_decided(asked.aggregate)
    (event,) = await until_changed(world, "c", VoterSuspended)
    assert event.reason == "3 votes of one that could not judge in a row"


async def test_ballots_that_cannot_be_read_count_against_their_sender(world: World) -> None:
    orchestrator = await world.orchestrator(health=SLOW)
    asked = await world.submit()
    await world.until_tasks(1)
    for garbage in (b"garbage", b"{}", b"[" * 100_000):
        await world.ballot(asked.aggregate, "c", garbage)
    (event,) = await until_changed(world, "c", VoterSuspended)
    assert event.reason == "3 unreadable ballots in a row"
    assert orchestrator.alerts.raised["voter.ejected"] == 1
    await world.votes(asked.aggregate, a="pass", b="pass", c="fail")
    await world.until_decided(asked.aggregate)
    assert (await world.check(asked.aggregate)).details["c"] == "fail", "a suspended voter may vote on what it has"


async def test_ballots_on_no_task_of_the_sender_do_not(world: World) -> None:
    """Another's task, a request that is not there: refused, and no sign of illness."""
    orchestrator = await world.orchestrator(health=SLOW)
    asked = await world.submit()
    for _ in range(5):
        other = ResultBallot(task_id=task_id(asked.aggregate, VoterId("a")), vote="pass")
        await world.ballot(asked.aggregate, "c", encode(other))
    await world.until_refused(5)
    assert orchestrator.alerts.raised.total() == 0
    assert await changes(world, "c") == []


async def test_a_voter_that_always_votes_against_the_others_stays(world: World) -> None:
    orchestrator = await world.orchestrator(health=HealthSettings(consecutive=1))
    for name in "ab":
        await world.voter(name, passes)
    await world.voter("c", fails)
    verdicts = await decide(world, 5, timeout_ms=20_000)
    assert {v.details["c"] for v in verdicts} == {"fail"}
    assert orchestrator.alerts.raised.total() == 0


async def test_who_is_late_for_an_early_verdict_has_answered(world: World) -> None:
    orchestrator = await world.orchestrator(health=SLOW)
    for _ in range(4):
        asked = await world.submit(decide="early")
        await world.votes(asked.aggregate, a="pass", b="pass")
        await world.until_decided(asked.aggregate)
        await world.vote(asked.aggregate, "c", "fail")
    await world.until_refused(4)
    assert set(world.codes()) == {"late"}
    assert orchestrator.alerts.raised.total() == 0


async def test_nobody_is_suspended_where_that_is_switched_off(world: World) -> None:
    orchestrator = await world.orchestrator(health=HealthSettings(enabled=False, consecutive=1, least_seconds=0))
    await decide(world, 2, timeout_ms=200)
    assert orchestrator.alerts.raised.total() == 0


# --- Never too few ----------------------------------------------------------------------------------------------------


async def test_the_last_quorum_stays_with_one_alert_however_many_requests_fail(world: World) -> None:
    orchestrator = await world.orchestrator(health=SLOW)
    await decide(world, 6)  # nobody answers at all
    suspended = {v for v in "abc" if VoterSuspended in [type(e) for e in await changes(world, v)]}
    assert len(suspended) == 1
    for voter in set("abc") - suspended:
        (event,) = await until_changed(world, voter, VoterKept)
        assert event.reason == "3 time-outs in a row; without it too few are left for a panel"
    assert orchestrator.alerts.raised == {"voter.ejected": 1, "voter.kept": 2}


async def test_of_two_orchestrators_that_each_eject_one_the_later_takes_it_back(world: World) -> None:
    """As each of them may, going by its own copy of the directory."""
    bus = await world.connect("health")
    told: list[Alert] = []
    supervision: Supervision

    async def on_change(event: Any) -> None:
        supervision.on_directory(event)

    view = DirectoryView(bus, on_change)
    supervision = Supervision(
        bus,
        "one",
        lambda: view.directory,
        lambda: view.directory.snapshot({}, 5),
        Effects(bus, world.partitions, now_ms),
        Alerts([told.append]),
        SLOW,
        lambda aggregate: True,
        now_ms,
        5,
    )
    await view.start()
    await supervision.start()
    world.at_the_end(view.stop)
    world.at_the_end(supervision.stop)
    for voter, by in (("a", f"{BY}another"), ("b", supervision.by)):
        await change_voter(world.directory, voters.Eject(voter, "dead", by, now_ms()))
    await until_changed(world, "b", VoterSuspended, VoterReinstated)

    async def alerted() -> bool:
        return [alert.name for alert in told] == ["voter.kept"]

    await until(alerted, "there was an alert")
    assert [type(event) for event in await changes(world, "a")] == [VoterSuspended]


# --- Revoked voters ---------------------------------------------------------------------------------------------------


async def revoke(world: World, voter: str) -> None:
    await change_voter(world.directory, voters.Revoke(voter, "", "test", now_ms()))
    await until_changed(world, voter, VoterRevoked)


async def test_a_request_is_decided_at_once_when_all_that_it_waits_for_are_revoked(world: World) -> None:
    await world.orchestrator()
    asked, waiting = await world.submit(), await world.submit()
    await world.until_tasks(2)
    await world.votes(asked.aggregate, a="pass", b="pass")
    await world.vote(waiting.aggregate, "a", "pass")
    await world.until_events(asked.aggregate, 3)
    await world.until_events(waiting.aggregate, 2)
    await revoke(world, "c")
    await world.until_decided(asked.aggregate)
    verdict = await world.check(asked.aggregate)
    assert (verdict.decided_by, verdict.out, verdict.final_vote) == ("early", ("c",), "pass")
    assert verdict.cause == asked.sequence
    await world.vote(waiting.aggregate, "b", "pass")
    await world.until_decided(waiting.aggregate)
    assert (await world.check(waiting.aggregate)).out == ("c",)
    await world.until_inbox_empty()


async def test_a_request_that_decides_early_does_so_once_the_revoked_leave_nothing_open(world: World) -> None:
    await world.orchestrator()
    for voter in "de":
        await world.register(voter)
    asked = await world.submit(voter_list=tuple("abcde"), decide="early")
    await world.until_tasks(1, "e")
    await world.votes(asked.aggregate, a="fail", b="fail")
    await world.until_events(asked.aggregate, 3)
    await revoke(world, "c")  # of d and e, both would have to pass, and that is no majority
    await world.until_decided(asked.aggregate)
    verdict = await world.check(asked.aggregate)
    assert (verdict.decided_by, verdict.out, verdict.final_vote) == ("early", ("c",), "fail")


async def test_a_ballot_after_revocation_is_refused_and_a_suspended_voter_is_waited_for(world: World) -> None:
    orchestrator = await world.orchestrator()
    asked = await world.submit()
    await world.until_tasks(1)
    await change_voter(world.directory, voters.Suspend("b", "", "test", now_ms()))
    await revoke(world, "c")
    for ballot in (world.vote, world.progress):
        await ballot(asked.aggregate, "c", "pass")
    await world.until_refused(2)
    assert set(world.codes()) == {"voter_unavailable"}
    await world.vote(asked.aggregate, "a", "pass")
    await world.until_events(asked.aggregate, 2)
    assert orchestrator.open == 1, "b may still vote"
    await world.vote(asked.aggregate, "b", "pass")
    await world.until_decided(asked.aggregate)
    assert (await world.check(asked.aggregate)).details == {"a": "pass", "b": "pass", "c": "missing"}


async def test_who_takes_over_knows_who_was_revoked_meanwhile(world: World) -> None:
    first = await world.orchestrator()
    asked = await world.submit()
    await world.until_tasks(1)
    await world.vote(asked.aggregate, "a", "pass")
    await world.until_events(asked.aggregate, 2)
    await first.stop()
    await revoke(world, "c")
    await world.orchestrator()
    await world.vote(asked.aggregate, "b", "fail")
    await world.until_decided(asked.aggregate)
    assert (await world.check(asked.aggregate)).out == ("c",)
