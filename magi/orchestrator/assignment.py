"""Which orchestrator reads which partitions: computed by each alike, from who is alive. Pure."""

import hashlib
from collections import Counter
from collections.abc import Sequence


def assign(members: Sequence[str], partitions: int) -> dict[int, str]:
    """An owner for each partition 0 … `partitions` - 1; nobody gets more than an even share, rounded up.

    Rendezvous hashing with a bound: a member that comes or goes moves little more than its own share. Empty without
    members.
    """
    if not members:
        return {}
    share = -(-partitions // len(members))
    owned: Counter[str] = Counter()
    owners: dict[int, str] = {}
    for partition in range(partitions):
        by_preference = sorted(members, key=lambda member: _weight(member, partition), reverse=True)
        owner = next(member for member in by_preference if owned[member] < share)
        owners[partition] = owner
        owned[owner] += 1
    return owners


def _weight(member: str, partition: int) -> bytes:
    return hashlib.sha256(f"{member}/{partition}".encode()).digest()
