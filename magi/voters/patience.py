"""How long a judge may take: less than until the deadline, so that it can still be said that it took too long."""

from magi.domain.clock import milliseconds
from magi.domain.messages import Task

_MARGIN = 1.0
_SHARE = 0.2


def seconds_to_judge(task: Task, now_ms: int) -> float:
    """Seconds that a judge has for `task` at `now_ms`: until a second before its deadline.

    Of a short time a fifth is kept back instead. Never below zero.
    """
    left = max(0.0, (milliseconds(task.deadline) - now_ms) / 1000)
    return left - min(_MARGIN, left * _SHARE)
