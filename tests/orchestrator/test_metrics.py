"""`magi.orchestrator.metrics`: what is counted of requests, and where their time went."""

import pytest

import magi.orchestrator.orchestrator
from magi.orchestrator.inbox import Item
from magi.orchestrator.metrics import RequestMetrics
from magi.telemetry import declarations as d
from magi.telemetry.registry import Registry
from tests.orchestrator.queue import Owner
from tests.orchestrator.test_requests import Story
from tests.orchestrator.world import World
from tests.telemetry.strict import Family, read, total
from tests.waiting import until


def counted(metrics: RequestMetrics) -> dict[str, Family]:
    return read(Registry("orchestrator", [metrics]).expose().decode())


async def told(story: Story) -> dict[str, Family]:
    await story.until_over()
    return counted(story.owner.metrics)


async def test_a_request_is_counted_once_from_its_submission_to_its_verdict() -> None:
    story = Story()
    await story.deliver()
    story.vote("a", "pass")
    story.vote("b", "fail")
    found = await told(story)
    assert total(found, d.SUBMISSIONS.name, outcome="received") == 1
    assert total(found, d.VERDICTS.name, decided_by="votes", strategy="minority_rule") == 1
    assert total(found, d.VOTES.name, voter="a", vote="pass") == 1
    assert total(found, d.VOTES.name, voter="b", vote="fail") == 1
    assert total(found, d.VOTER_OUTCOMES.name, outcome="voted") == 2
    assert total(found, d.VOTER_AGREEMENT.name) == 2
    assert total(found, d.VOTER_AGREEMENT.name, agreed="yes") == 1


async def test_what_may_come_is_there_before_it_comes() -> None:
    """An alert on an increase doesn't see a series that begins with its first event."""
    story = Story()
    await story.deliver()
    story.vote("a")
    story.vote("b")
    found = await told(story)
    assert found[d.VOTES.name].value(voter="a", vote="fail", strategy="minority_rule") == 0
    assert found[d.VOTER_OUTCOMES.name].value(voter="a", outcome="missing") == 0
    assert found[d.VERDICTS.name].value(verdict="fail", decided_by="deadline", strategy="minority_rule") == 0


async def test_the_voters_take_their_time_and_magi_its_own() -> None:
    story = Story()
    await story.deliver()
    story.queue.now += 700
    story.vote("a")
    await story.deliver()
    story.queue.now += 1200
    story.vote("b")
    found = await told(story)

    def took(metric: str, **labels: str) -> float:
        return round(found[metric].samples[f"{metric}_sum", frozenset(labels.items())], 3)

    assert took(d.VOTER_SECONDS.name, voter="a") == 0.7
    assert took(d.VOTER_SECONDS.name, voter="b") == 1.9
    assert took(d.STAGE_SECONDS.name, stage="first_result") == 0.7
    assert took(d.STAGE_SECONDS.name, stage="last_result") == 1.9
    assert took(d.REQUEST_SECONDS.name, decided_by="votes") == 1.9
    assert took(d.OVERHEAD_SECONDS.name) == 0


async def test_waiting_in_the_inbox_and_being_late_is_magis_own_time() -> None:
    story = Story(timeout=3000)
    story.queue.now += 400
    await story.deliver()
    found = await told(story)
    late = found[d.OVERHEAD_SECONDS.name].samples[f"{d.OVERHEAD_SECONDS.name}_sum", frozenset()]
    assert 0.4 <= late < 0.7  # the clock goes on in steps of 0.1 s
    assert total(found, d.VERDICTS.name, decided_by="deadline") == 1
    assert total(found, d.VOTER_OUTCOMES.name, outcome="missing") == 2
    assert total(found, d.REDELIVERIES.name, kind="submission") >= 1


async def test_a_request_that_was_taken_over_is_timed_as_a_whole() -> None:
    story = Story()
    await story.deliver()
    story.owner = Owner(story.store, story.queue)
    story.queue.now += 1000
    story.vote("a")
    story.vote("b")
    found = await told(story)
    assert total(found, d.REQUEST_SECONDS.name, decided_by="votes") == 1
    assert total(found, d.VERDICTS.name) == 1
    assert total(found, d.SUBMISSIONS.name) == 0  # the other one's
    assert total(found, d.OVERHEAD_SECONDS.name) == 0


async def test_what_the_log_fails_is_counted_as_left_and_nothing_twice() -> None:
    story = Story()
    await story.deliver()
    story.store.failures.append("ack lost")
    story.vote("a")
    story.vote("b")
    found = await told(story)
    assert total(found, d.LEFT.name) == 1
    assert total(found, d.REDELIVERIES.name, kind="ballot") == 1
    assert total(found, d.VERDICTS.name) == 1


async def test_what_a_mistake_of_ours_fails_is_counted_as_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(magi.orchestrator.orchestrator, "parse", fail)
    orchestrator = await world.orchestrator()
    for _ in range(3):
        await world.submit()

    async def counted_all() -> bool:
        found = read(Registry("orchestrator", [orchestrator]).expose().decode())
        return total(found, d.LEFT.name) >= 3

    await until(counted_all, "each is counted", 30)


async def test_what_failed_before_it_was_taken_is_judged_when_it_comes_again(
    world: World, hasty: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    orchestrator = await world.orchestrator()
    came, failures = orchestrator._counted.came, [RuntimeError("a mistake of ours")]

    def once(item: Item) -> None:
        if failures:
            raise failures.pop()
        came(item)

    monkeypatch.setattr(orchestrator._counted, "came", once)
    asked = await world.submit()

    async def received() -> bool:
        return bool(await world.stored(asked.aggregate))

    await until(received, "it came again and was received", 30)
    assert not failures


async def test_refused_and_repeated_submissions_are_told_apart_and_leave_nothing_behind() -> None:
    story = Story()
    await story.deliver()
    waiting = next(iter(story.queue.waiting.values()))
    owner = story.owner
    story.queue.waiting[99] = type(waiting)(99, "agent", waiting.data, story.queue.now)
    other = waiting.data.replace(b'"user_query":"?"', b'"user_query":"??"')
    assert other != waiting.data
    story.queue.waiting[100] = type(waiting)(100, "agent", other, story.queue.now)
    story.vote("a")
    story.vote("b")
    found = await told(story)
    assert total(found, d.SUBMISSIONS.name, outcome="repeated") == 1
    assert total(found, d.SUBMISSIONS_REFUSED.name, code="request_conflict") == 1
    assert not owner.metrics._times
