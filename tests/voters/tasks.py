"""Tasks for judges that are called without a bus."""

from typing import Any

import msgspec

from magi.domain.clock import rfc3339
from magi.domain.messages import Task
from magi.eventstore.presence import now_ms


def a_task(seconds: float = 30.0, **changes: Any) -> Task:
    """A task whose deadline is `seconds` from now."""
    task = Task(
        task_id="i.0192f0c1-2222-5333-8444-555566667777.v",
        request_id="r-1",
        user_query="Write a function",
        agent_answer="def f(): return 1",
        deadline=rfc3339(now_ms() + int(seconds * 1000)),
        metadata={"model": "m"},
        ballot_subject="magi.ballot.secret",
    )
    return msgspec.structs.replace(task, **changes)
