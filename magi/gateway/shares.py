"""How gateways divide an Initiator's rate among them, each for itself, from what all of them say is asked. Pure."""

from collections.abc import Iterable

RESERVE = 0.1
"""The part of a quota that is kept, divided evenly, for gateways at which nothing is asked: where the next client
connects it isn't refused until the next heartbeat. As much of the quota may go unused."""


def share(quota: float, mine: float, others: Iterable[float]) -> float:
    """This gateway's part of `quota`, when `mine` is what is asked here, and `others` what is asked at each other one.

    Max-min fair: who asks for less than an even part gets what it asks for, the rest is divided among the others, and
    what nobody asks for evenly among all. When all gateways go by the same figures, their parts add up to the quota.
    """
    asked = [mine, *others]
    least = quota * RESERVE / len(asked)
    mine = max(mine, least)
    left, parts, found = quota, len(asked), 0.0
    for one in sorted(max(a, least) for a in asked):
        got = min(one, left / parts)
        if one <= mine:
            found = got  # those who ask for the same get the same
        left -= got
        parts -= 1
    return found + max(0.0, left) / len(asked)
