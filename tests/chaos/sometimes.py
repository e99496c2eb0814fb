"""What must have happened sometimes: a run in which it did not shows nothing, and is void.

It goes on with blows that lead to what is missing, until nothing is or it has gone on long enough.
"""

import random
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from tests.chaos.clients import Asked
from tests.chaos.cluster import CLIENTS, ORCHESTRATORS, VOTING, Cluster
from tests.chaos.nemesis import BEAT, Blow, Strike, strike
from tests.log_rules import History, of_several_voters

ROUNDS = 8
"""Rounds that are added at most."""
ROUND = 4.0
"""Seconds of each."""

_LEADS_TO: dict[str, tuple[tuple[str, Blow], ...]] = {
    "redelivered": tuple((name, "kill") for name in VOTING),
    "resumed": ((CLIENTS, "cut"), (CLIENTS, "cut")),
    "taken_over": tuple((name, "kill") for name in ORCHESTRATORS),
    "lost_acks": tuple((name, "mute") for name in ORCHESTRATORS),
    "together": tuple((name, "pause") for name in ORCHESTRATORS),
}


class Sometimes(Struct, frozen=True):
    """How often it happened."""

    redelivered: int = 0
    """A task or a ballot was delivered once more."""
    resumed: int = 0
    """An Initiator went on in the middle of a request, on another connection than it began on."""
    taken_over: int = 0
    """A partition of the inbox was read by another orchestrator than before."""
    lost_acks: int = 0
    """A message was stored in the log, and its orchestrator not told so."""
    together: int = 0
    """A message of the log holds what the ballots of several voters led to."""

    @property
    def missing(self) -> list[str]:
        return [name for name, count in msgspec.structs.asdict(self).items() if not count]


def happened(cluster: Cluster, asked: Iterable[Asked], log: History) -> Sometimes:
    """So far. `log` is all of it."""
    return Sometimes(
        redelivered=cluster.deliveries.again.total(),
        resumed=sum(_resumed(one) for one in asked),
        taken_over=cluster.deliveries.taken_over,
        lost_acks=cluster.said().count('"lost_ack"'),
        together=of_several_voters(log),
    )


def round_for(missing: Sequence[str], seed: int) -> list[Strike]:
    """The blows of one more round."""
    draw = random.Random(seed)
    blows = [blow for name in missing for blow in _LEADS_TO[name]]
    gap = max(1, int((ROUND - 1) / BEAT / len(blows))) if blows else 1
    return [strike(draw, BEAT * (1 + gap * n), target, blow) for n, (target, blow) in enumerate(blows)]


def _resumed(asked: Asked) -> int:
    return sum(1 for run in asked.runs[1:] if run and msgspec.json.decode(run[0])["seq"] > 1)
