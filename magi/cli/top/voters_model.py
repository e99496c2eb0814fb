"""A line for each voter, and which of them need attention. Pure."""

from collections.abc import Mapping, Sequence

from magi.cli.top.counting import Gauges
from magi.cli.top.frame import LEVELS, Level, VoterLine
from magi.cli.top.requests_model import Windows
from magi.cli.top.seen import Registered
from magi.domain.voter import Voter
from magi.eventstore.presence import Instance
from magi.telemetry import declarations as d

BAD_SHARE = 0.2
"""Of a voter's tasks missing or failed: as the alerts MagiVoterMissing and MagiVoterFailing have it."""
ENOUGH = 5
"""Tasks, before a share of them says anything: theirs, too."""
LONG_QUEUE = 100
"""Tasks: as MagiVoterBehind."""


def voters(
    windows: Windows, gauges: Gauges, registered: Registered | None, last_votes: Mapping[str, float], at: float
) -> tuple[VoterLine, ...]:
    """What needs attention first, then by name. `last_votes`: when each was last seen to vote, on the clock of `at`."""
    active = {name: value > 0 for name, value in _least_by(gauges, d.VOTER_ACTIVE.name).items()}
    known = {name: v for name, v in registered.voters.items() if v.status != "revoked"} if registered else {}
    revoked = {name for name, v in registered.voters.items() if v.status == "revoked"} if registered else set()
    names = (set(active) | set(known)) - revoked
    lines = [
        _line(
            name,
            windows,
            gauges,
            known.get(name),
            active.get(name),
            [i for i in registered.instances if i.part == f"voter.{name}"] if registered else None,
            at - last_votes[name] if name in last_votes else None,
        )
        for name in names
    ]
    return tuple(sorted(lines, key=attention))


def attention(line: VoterLine) -> tuple[int, str]:
    """The order in which an operator wants to see them."""
    return -LEVELS.index(line.level), line.name


def _least_by(gauges: Gauges, name: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for labels, value, _ in gauges.each(name):
        voter = labels.get("voter", "")
        found[voter] = min(value, found.get(voter, value))
    return found


def _line(
    name: str,
    windows: Windows,
    gauges: Gauges,
    voter: Voter | None,
    active: bool | None,
    instances: Sequence[Instance] | None,
    since_vote: float | None,
) -> VoterLine:
    outcomes = windows.minutes.by(d.VOTER_OUTCOMES.name, "outcome", voter=name)
    _, (p50, p95) = windows.quantiles(d.VOTER_SECONDS, 0.5, 0.95, voter=name)
    status = voter.status if voter else "" if active is None else "active" if active else "suspended"
    at_work, waiting = (_whole(gauges.most(m.name, voter=name)) for m in (d.TASKS_AT_WORK, d.TASKS_UNTAKEN))
    in_flight = sum(i.in_flight for i in instances) if instances else at_work
    capacity = sum(i.capacity for i in instances) if instances else None
    level, why = _needs(status, voter, instances, outcomes, waiting, in_flight, capacity)
    return VoterLine(
        name=name,
        level=level,
        why=why,
        status=status,
        kind=voter.kind if voter else "",
        instances=len(instances) if instances is not None else None,
        in_flight=in_flight,
        capacity=capacity,
        waiting=waiting,
        per_second=windows.now.rate(d.VOTES.name, voter=name),
        votes=windows.shares(d.VOTES, "vote", voter=name),
        p50=p50,
        p95=p95,
        missing=round(outcomes.get("missing", 0.0)),
        failed=round(outcomes.get("failed", 0.0)),
        last_vote=since_vote,
        ever=windows.ever.grown(d.VOTES.name, voter=name) > 0,
    )


def _needs(
    status: str,
    voter: Voter | None,
    instances: Sequence[Instance] | None,
    outcomes: Mapping[str, float],
    waiting: int | None,
    in_flight: int | None,
    capacity: int | None,
) -> tuple[Level, str]:
    """The worst that can be said of a voter."""
    if status == "suspended":
        reason = voter.reason if voter and voter.reason else "suspended"
        return "warning", reason if not (voter and voter.tried) else f"{reason}; tried with probes"
    if instances is not None and not instances:
        return "critical", "no instance is alive"
    every = sum(outcomes.values())
    for outcome, word in (("missing", "misses deadlines"), ("failed", "can't judge")):
        bad = outcomes.get(outcome, 0.0)
        if every >= ENOUGH and bad / every > BAD_SHARE:
            return "critical" if outcome == "missing" else "warning", f"{word}: {round(bad)} of {round(every)}"
    if waiting is not None and waiting > LONG_QUEUE:
        return "warning", f"{waiting} tasks wait"
    if waiting and capacity and in_flight is not None and in_flight >= capacity:
        return "notice", f"at capacity, {waiting} wait"
    if not status:
        return "unknown", ""
    return "good", ""


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
