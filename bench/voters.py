"""A voter that costs nothing: what is measured is MAGI."""

from magi.voters import Opinion, Task


async def passes(_: Task) -> Opinion:
    return Opinion.passes()
