"""Quotas: what an Initiator may use of all gateways together, kept by each gateway for itself.

No request waits for another gateway. Each tells the others once a second what Initiators use of it, on core NATS, and
takes its share of what it has heard (`shares`). So a quota is kept to within what changes from one heartbeat to the
next; see docs/security.md. Without NATS the shares stay what they were, and nothing can be submitted anyway.
"""

import asyncio
import time
import uuid
from collections.abc import Coroutine
from typing import Any

import msgspec
import structlog
from nats.aio.msg import Msg

from magi.domain.ids import AggregateId, InitiatorId
from magi.domain.initiator import INITIAL, NO_QUOTA
from magi.domain.voting_request import RequestEvent
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError, Rejected
from magi.eventstore.directory import DirectoryView
from magi.eventstore.history import EventStore
from magi.gateway.errors import RateLimited
from magi.gateway.hub import Hub
from magi.gateway.open_requests import OpenRequests
from magi.gateway.rate import Bucket
from magi.gateway.settings import QuotaSettings
from magi.gateway.shares import share
from magi.gateway.usage import NOTHING, Account, Peers, Report, reports

log = structlog.get_logger(__name__)

HEARTBEAT = 1.0
"""Seconds between two reports of everything."""
SOON = 0.05
"""Seconds after which a change near a quota is reported: long enough to gather those of a burst."""
NEAR = 0.5
"""The part of a quota that must be used for a change to be reported before the next heartbeat."""
_decode = msgspec.json.Decoder(Report).decode


class Quotas:
    """Of one gateway."""

    def __init__(
        self,
        bus: Bus,
        directory: DirectoryView,
        store: EventStore[RequestEvent],
        hub: Hub,
        settings: QuotaSettings,
        heartbeat: float = HEARTBEAT,
    ) -> None:
        self._bus = bus
        self._directory = directory
        self._log = store
        self._hub = hub
        self._settings = settings
        self._heartbeat = heartbeat
        self._name = uuid.uuid4().hex[:12]
        self._accounts: dict[InitiatorId, Account] = {}
        self._open: dict[InitiatorId, OpenRequests] = {}
        self._peers = Peers()
        self._changed: set[InitiatorId] = set()
        self._wake = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to hear the other gateways, and to be heard. Raises BusError."""
        await self._bus.subscribe(subjects.QUOTAS, self._on_report)
        await self._tell(whole=True)  # the others answer at once
        self._beating = asyncio.create_task(self._beats())

    async def stop(self) -> None:
        """Give what is used here back to the others."""
        for task in (self._beating, *self._tasks):
            if task:
                task.cancel()
        try:
            await self._publish(Report(self._name, {}, leaves=True))
        except (BusError, Rejected) as error:
            log.debug("quotas_left_silently", error=str(error))  # it is forgotten after some heartbeats
        for held in self._open.values():
            await held.stop()

    # --- Connections -------------------------------------------------------------------------------------------------

    def connections(self, initiator: InitiatorId) -> int:
        """How many there are at this gateway."""
        account = self._accounts.get(initiator)
        return account.connections if account else 0

    def may_connect(self, initiator: InitiatorId) -> bool:
        """Whether one connection more is within the quota."""
        limit = self._quota(initiator, "connections")
        used = self.connections(initiator) + sum(use.connections for use in self._peers.uses(initiator))
        return limit == NO_QUOTA or used < limit

    def connected(self, initiator: InitiatorId) -> None:
        """There is one connection more."""
        account = self._account(initiator)
        account.connections += 1
        self._note(initiator, "connections", account.connections)

    def disconnected(self, initiator: InitiatorId) -> None:
        """There is one less."""
        account = self._account(initiator)
        account.connections -= 1
        self._note(initiator, "connections", account.connections)

    # --- Requests ----------------------------------------------------------------------------------------------------

    def check(self, initiator: InitiatorId) -> None:
        """A request is about to be submitted. Raises RateLimited when it is beyond a quota."""
        account = self._account(initiator)
        account.ask()
        limit = self._quota(initiator, "open_requests")
        if limit != NO_QUOTA:
            used = account.open + sum(use.open for use in self._peers.uses(initiator))
            if used >= limit:
                raise RateLimited(f"{used} requests of this Initiator are open, at most {limit:g} may be")
        wait = account.bucket.take() if account.bucket else 0
        if wait:
            rate = self._quota(initiator, "requests_per_second")
            # A small share is a larger one when the others have heard of what is asked here.
            most = max(2 * self._heartbeat, 1 / rate) * 1000
            raise RateLimited(f"more than {rate:g} requests a second of this Initiator", round(min(wait, most)))

    async def opened(self, initiator: InitiatorId, aggregate: AggregateId, digest: str, timeout_ms: int) -> None:
        """It is being submitted, and counts until its verdict is there. Raises BusError."""
        held = self._open.get(initiator)
        if held is None:

            def changed(number: int) -> None:
                self._account(initiator).open = number
                self._note(initiator, "open_requests", number)

            held = self._open[initiator] = OpenRequests(initiator, self._log, self._hub, self._spawn, changed)
        await held.add(aggregate, digest, timeout_ms)

    def refused(self, initiator: InitiatorId, aggregate: AggregateId, digest: str) -> None:
        """It couldn't be submitted."""
        if held := self._open.get(initiator):
            held.drop(aggregate, digest)

    # --- Shares ------------------------------------------------------------------------------------------------------

    def _quota(self, initiator: InitiatorId, name: str) -> float:
        own = getattr(self._directory.directory.initiators.get(initiator, INITIAL).quotas, name)
        found: float = getattr(self._settings, name) if own is None else own
        return found

    def _account(self, initiator: InitiatorId) -> Account:
        account = self._accounts.get(initiator)
        if account is None:
            account = self._accounts[initiator] = Account()
            self._fit(initiator, account)
        return account

    def _fit(self, initiator: InitiatorId, account: Account) -> None:
        """Set the rate to this gateway's share of the quota; a second of it may come at once."""
        quota = self._quota(initiator, "requests_per_second")
        if quota == NO_QUOTA:
            account.bucket = None
            return
        rate = share(quota, account.use.asked, [use.asked for use in self._peers.uses(initiator)])
        if account.bucket is None:
            account.bucket = Bucket(rate, max(1.0, rate))
        else:
            account.bucket.refit(rate, max(1.0, rate))

    def on_directory(self) -> None:
        """The directory has changed: quotas may be others."""
        for initiator, account in self._accounts.items():
            self._fit(initiator, account)

    # --- Reports -----------------------------------------------------------------------------------------------------

    def _note(self, initiator: InitiatorId, quota: str, used: int) -> None:
        """Something has changed: near its quota the others are told soon."""
        limit = self._quota(initiator, quota)
        if limit != NO_QUOTA and used >= limit * NEAR / (len(self._peers) + 1):
            self._changed.add(initiator)
            self._wake.set()

    async def _beats(self) -> None:
        last = time.monotonic()
        while True:
            left = last + self._heartbeat - time.monotonic()
            try:
                await asyncio.wait_for(self._wake.wait(), max(0.0, left))
            except TimeoutError:
                now = time.monotonic()
                await self._beat(now - last)
                last = now
            else:
                await asyncio.sleep(min(SOON, max(0.0, left)))
                await self._tell(whole=False)

    async def _beat(self, seconds: float) -> None:
        if not self._bus.nc.is_connected:
            return  # we hear nobody: the shares stay what they are
        self._peers.beat()
        for initiator, account in list(self._accounts.items()):
            account.beat(seconds)
            self._fit(initiator, account)
            held = self._open.get(initiator)
            if held is not None and not held:
                del self._open[initiator]
                self._spawn(held.stop())
            if account.idle:
                del self._accounts[initiator]
        await self._tell(whole=True)

    async def _tell(self, *, whole: bool) -> None:
        self._wake.clear()
        changed, self._changed = self._changed, set()
        try:
            if whole:
                for report in reports(self._name, ((i, account.use) for i, account in self._accounts.items())):
                    await self._publish(report)
            else:
                uses = {i: self._accounts[i].use if i in self._accounts else NOTHING for i in changed}
                await self._publish(Report(self._name, uses, whole=False))
        except (BusError, Rejected) as error:
            log.info("quotas_not_told", error=str(error))

    async def _publish(self, report: Report) -> None:
        await self._bus.publish(subjects.quotas(self._name), msgspec.json.encode(report))

    async def _on_report(self, msg: Msg) -> None:
        try:
            report = _decode(msg.data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("quota_report_unreadable", error=str(error))
            return
        if report.gateway != self._name and self._peers.hear(report):
            await self._tell(whole=True)  # it has just begun, and knows nothing of us

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
