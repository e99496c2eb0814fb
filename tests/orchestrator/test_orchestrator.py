"""An orchestrator on a real nats-server: from a submission in the inbox to a verdict in the log."""

from magi.domain.voting_request import Adjudicated, Received, VoterProgress, VoterResult
from tests.orchestrator.world import World


async def test_a_submission_becomes_tasks_votes_and_a_verdict(world: World) -> None:
    await world.orchestrator()
    asked = await world.submit()
    for voter in "abc":
        (task,) = await world.until_tasks(1, voter)
    await world.progress(asked.aggregate, "a")
    await world.votes(asked.aggregate, a="pass", b="fail", c="pass")
    await world.until_decided(asked.aggregate)
    verdict = await world.check(asked.aggregate)
    await world.until_inbox_empty()
