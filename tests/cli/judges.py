"""Voters for tests, run as ``magi voter yes=tests.cli.judges:passes``."""

from magi.voters import Opinion, Task


async def passes(task: Task) -> Opinion:
    return Opinion.passes("as good as any", 0.9)


async def fails(task: Task) -> Opinion:
    return Opinion.fails("not good enough")


def rude(task: Task) -> Opinion:
    """Tries to steer the terminal that shows its reason. Runs in a thread, as plain functions do."""
    return Opinion.passes("\x1b[2J\x9b31mfirst line\nsecond\u202e line")
