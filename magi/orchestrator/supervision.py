"""Minds the voters: suspends those that don't answer, tries them with probes, and takes them back.

It acts by events in the directory, as ``magi/health@<instance>``; whoever's event is stored raises the alert, so that
several orchestrators that see the same raise it once. Nothing here is waited for by those who decide.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import structlog

from magi.domain.clock import milliseconds
from magi.domain.directory import Directory, DirectoryEvent
from magi.domain.errors import Refused
from magi.domain.ids import AggregateId, VoterId
from magi.domain.messages import ProgressBallot, ResultBallot, Submission
from magi.domain.panel import Snapshot
from magi.domain.voter import Voter, VoterEvent, VoterReinstated, VoterRevoked, VoterSuspended
from magi.domain.voter_commands import (
    FORGIVEN_AFTER,
    KEPT_AGAIN,
    BeginProbation,
    Eject,
    Keep,
    Recover,
    Reinstate,
    VoterCommand,
)
from magi.domain.voting_request import Adjudicated, Received, RequestEvent, VoterResult, VotingRequest
from magi.eventstore.bus import Bus, BusError, Rejected
from magi.eventstore.directory import DirectoryLog, change_voter, directory_log
from magi.eventstore.history import StoreError
from magi.orchestrator.alerts import Alert, Alerts, Name
from magi.orchestrator.effects import Effects
from magi.orchestrator.health import Given, Health, HealthSettings, can_spare, missed, still_formed, too_few
from magi.orchestrator.inbox import BadItem, Item
from magi.orchestrator.probes import Probe, Probes, may_probe, open_groups, untried
from magi.orchestrator.watch import Watch

log = structlog.get_logger(__name__)

BY = "magi/health@"
LOOK_EVERY = 0.5
"""Seconds between two looks for probes that are overdue and voters that nothing tries: short beside an ejection."""

FINISH = 1.0
"""Seconds that a stopping orchestrator takes to finish what it does about voters."""


class Supervision(Watch):
    """The health of the voters, as one orchestrator sees it."""

    def __init__(
        self,
        bus: Bus,
        instance: str,
        directory: Callable[[], Directory],
        snapshot: Callable[[], Snapshot],
        effects: Effects,
        alerts: Alerts,
        settings: HealthSettings,
        mine: Callable[[AggregateId], bool],
        now: Callable[[], int],
        panel_size: int,
    ) -> None:
        """`snapshot` is what panels are chosen from, `panel_size` the size of those that nobody named. `mine` says
        whether a request's partition is read here; `now` gives milliseconds since 1970."""
        self.by = f"{BY}{instance}"
        self._bus = bus
        self._store: DirectoryLog = directory_log(bus)
        self._directory = directory
        self._snapshot = snapshot
        self._effects = effects
        self._alerts = alerts
        self._settings = settings
        self._mine = mine
        self._now = now
        self._panel_size = panel_size
        self._least_ms = int(settings.least_seconds * 1000)
        self._first_ms = int(settings.first_seconds * 1000)
        self._longest_ms = int(settings.longest_seconds * 1000)
        self._health = Health(settings.consecutive)
        self._probes = Probes()
        self._given: dict[AggregateId, Given] = {}
        self._out: set[VoterId] = set()
        """Voters that are suspended until they are tried."""
        self._leaving: set[str] = set()
        """Voters that are being ejected, and still active in our copy of the directory."""
        self._acting: dict[str, asyncio.Task[None]] = {}
        """What is done about a voter now: one thing at a time."""
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to act. Raises BusError."""
        if self._settings.enabled:
            await self._store.start()
            self._looking = asyncio.create_task(self._look_always())

    async def stop(self) -> None:
        if self._looking:
            self._looking.cancel()
        if self._acting:
            _, late = await asyncio.wait(self._acting.values(), timeout=FINISH)
            for task in late:
                task.cancel()

    @property
    def _voters(self) -> dict[VoterId, Voter]:
        return self._directory().voters

    # --- What the requests tell ---------------------------------------------------------------------------------------

    def dispatched(
        self, aggregate: AggregateId, submission: Submission, received: Received, voters: tuple[str, ...]
    ) -> None:
        deadline = milliseconds(received.deadline)
        self._given[aggregate] = Given(frozenset(voters), self._now(), deadline, self._bus.reconnects)
        named = submission.voter_list or submission.panel
        if self._out and self._looking and not named:  # the content is for nobody that the Initiator didn't choose
            for voter in tuple(self._out):
                self._consider_probe(voter, aggregate, received)

    def happened(self, aggregate: AggregateId, state: VotingRequest, event: RequestEvent) -> None:
        if isinstance(event, VoterResult):
            if event.failed:
                self._failed(event.voter_id)
            else:
                self._health.answered(event.voter_id, self._now())
        elif isinstance(event, Adjudicated):
            given = self._given.pop(aggregate, None)
            if given:
                self._missed(event, given)

    def too_late(self, state: VotingRequest, voter: str, arrived: int) -> None:
        if arrived < state.deadline:  # others had decided it before: it did what it had to do
            self._health.answered(voter, self._now())

    def dropped(self, aggregate: AggregateId) -> None:
        self._given.pop(aggregate, None)

    def _missed(self, verdict: Adjudicated, given: Given) -> None:
        for voter in missed(verdict, given, self._voters, connection=self._bus.reconnects, least_ms=self._least_ms):
            self._health.timed_out(voter, given.at)
            self._see_to(voter)

    def _failed(self, voter: str) -> None:
        self._health.failed(voter, "failed")
        self._see_to(voter)

    # --- What the inbox brings ----------------------------------------------------------------------------------------

    def takes(self, item: Item) -> bool:
        """Whether it is a ballot on a probe: then it is for nobody else."""
        if not isinstance(item.message, ProgressBallot | ResultBallot):
            return False
        heard = self._probes.hear(item.aggregate, item.sender, item.message, item.delivery.stored_ms)
        if heard == "good":
            self._recover(item.sender, "it answered a probe")
        elif heard == "bad":
            self._eject(item.sender, "it could not judge a probe, or not in time", "voter.ejected_again")
        return heard != "stranger"

    def unreadable(self, item: BadItem) -> None:
        """A ballot that can't be read came from a voter, as its subject proves."""
        if item.kind != "ballot" or item.code != "invalid_message":
            return
        if self._probes.is_open(item.sender):
            self._probes.end(item.sender)
            self._eject(item.sender, "its ballot on a probe can't be read", "voter.ejected_again")
            return
        self._health.failed(item.sender, "unreadable")
        self._see_to(item.sender)

    # --- What the directory tells -------------------------------------------------------------------------------------

    def on_directory(self, event: DirectoryEvent) -> None:
        """An event that the copy of the directory has taken in."""
        if not isinstance(event, VoterEvent):
            return
        name = VoterId(event.originator_id.partition(".")[2])
        voter = self._voters[name]
        (self._out.add if voter.status == "suspended" and voter.until else self._out.discard)(name)
        if isinstance(event, VoterSuspended | VoterReinstated | VoterRevoked):
            self._health.forget(name)
            self._leaving.discard(name)
        if isinstance(event, VoterReinstated | VoterRevoked):
            self._probes.end(name)
            recent = self._now() - milliseconds(event.at) < FORGIVEN_AFTER
            if isinstance(event, VoterReinstated) and event.by.startswith(BY) and recent:
                self._health.on_trial(name)
        if isinstance(event, VoterSuspended) and event.by == self.by:
            self._take_back(name, voter)

    def _take_back(self, name: VoterId, voter: Voter) -> None:
        """Two orchestrators may eject a voter each at the same time, and both be right. The directory has an order: who
        wrote the event with which there were too few takes it back."""
        if too_few(voter.group, self._voters, self._panel_size):
            why = f"too few of the group {voter.group!r} are left without it: {voter.reason}"
            self._act(name, self._change(Reinstate(name, why, self.by, self._now()), "voter.kept"))

    # --- What is done -------------------------------------------------------------------------------------------------

    def _see_to(self, name: str) -> None:
        """Eject a voter that has to go, or say why it stays."""
        why = self._health.why_out(name)
        voter = self._voters.get(VoterId(name))
        if not why or voter is None or voter.status != "active" or name in self._acting or not self._looking:
            return
        out = {name, *self._leaving}
        if can_spare(name, self._voters, self._panel_size, out) and still_formed(self._snapshot(), out):
            self._leaving.add(name)
            self._eject(name, why, "voter.ejected")
        elif not voter.kept or self._now() - milliseconds(voter.kept) > KEPT_AGAIN:
            why = f"{why}; without it too few are left for a panel"
            self._act(name, self._change(Keep(name, why, self.by, self._now()), "voter.kept"))

    def _eject(self, name: str, why: str, alert: Name) -> None:
        command = Eject(name, why, self.by, self._now(), self._first_ms, self._longest_ms)
        self._act(name, self._change(command, alert))

    def _recover(self, name: str, why: str) -> None:
        self._act(name, self._change(Recover(name, why, self.by, self._now()), "voter.recovered"))

    def _consider_probe(self, name: VoterId, aggregate: AggregateId, received: Received) -> None:
        now, voter = self._now(), self._voters[name]
        if name in self._acting or not voter.on_probation(now) or self._probes.is_open(name):
            return
        if may_probe(name, voter, received, open_groups(self._snapshot()), now, self._least_ms):
            ends = min(milliseconds(received.deadline), now + max(self._longest_ms, self._least_ms))
            probe = Probe(name, aggregate, ends, self._bus.reconnects)
            self._probes.begin(probe)
            self._act(name, self._probe(probe, received))

    async def _look_always(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            for probe in self._probes.overdue(self._now()):
                # What came between us and it says nothing about the voter: the next request makes the next probe.
                if probe.connection == self._bus.reconnects and self._mine(probe.aggregate):
                    self._eject(probe.voter, "it did not answer a probe", "voter.ejected_again")
            for name in tuple(self._out):
                waited = untried(self._voters[name], open_groups(self._snapshot()), self._now(), self._longest_ms)
                if waited and not self._probes.is_open(name) and name not in self._acting:
                    self._recover(name, "no request came that it could be tried with")

    async def _probe(self, probe: Probe, received: Received) -> bool:
        voters = await self._effects.dispatch(
            probe.aggregate, received, (probe.voter,), milliseconds(received.deadline)
        )
        if not voters:
            self._probes.never_was(probe)
            return False
        why = "its time out is over, and it got a task whose vote doesn't count"
        return await self._change(BeginProbation(probe.voter, why, self.by, self._now()), "voter.on_probation")

    async def _change(self, command: VoterCommand, name: Name) -> bool:
        """Have an event in the directory; raise the alert and return True if it is ours."""
        stored = await change_voter(self._store, command)
        for recorded in stored:
            event = recorded.event
            alert = Alert(name, command.voter_id, getattr(event, "reason", ""), event.at, self.by)
            if isinstance(event, VoterSuspended):
                alert = msgspec.structs.replace(alert, until=event.until, ejections=event.ejections)
            self._alerts.raise_(alert)
        return bool(stored)

    def _act(self, name: str, action: Coroutine[Any, Any, bool]) -> None:
        """Do something about a voter, after what is being done about it already."""
        self._acting[name] = asyncio.create_task(self._after(self._acting.get(name), name, action))

    async def _after(self, before: "asyncio.Task[None] | None", name: str, action: Coroutine[Any, Any, bool]) -> None:
        changed = False
        try:
            if before:
                await asyncio.wait([before])
            changed = await action
        except (BusError, StoreError, Rejected, Refused) as error:
            # It was not to be, or NATS is away: whatever is wrong with the voter shows again.
            log.warning("health_not_changed", voter=name, error=str(error))
        except Exception:  # a task that nobody waits for would keep what it raises to itself
            log.exception("health_failed", voter=name)
        finally:
            action.close()
            if self._acting.get(name) is asyncio.current_task():
                del self._acting[name]
            if not changed:  # else our copy of the directory will tell when it is out
                self._leaving.discard(name)
