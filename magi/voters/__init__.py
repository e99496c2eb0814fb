"""Being a voter: a function from a task to an opinion, and `run`, which does everything else.

```python
from magi.voters import Opinion, Task, run

async def judge(task: Task) -> Opinion:
    return Opinion.passes() if "def " in task.agent_answer else Opinion.fails("no function in the answer")

run("voter_1", judge)
```
"""

from typing import TYPE_CHECKING, Any

from magi.domain.messages import Opinion, Task

if TYPE_CHECKING:
    from magi.voters.agent import CannotJudge, Judge, VoterAgent
    from magi.voters.program import run

__all__ = ["CannotJudge", "Judge", "Opinion", "Task", "VoterAgent", "run"]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: the built-in voters' parsing processes import this package and need none of NATS.
    if name == "run":
        from magi.voters.program import run

        return run
    if name in __all__:
        from magi.voters import agent

        return getattr(agent, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
