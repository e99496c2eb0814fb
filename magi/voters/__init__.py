"""Being a voter: a function from a task to an opinion, and `run`, which does everything else.

```python
from magi.voters import Opinion, Task, run

async def judge(task: Task) -> Opinion:
    return Opinion.passes() if "def " in task.agent_answer else Opinion.fails("no function in the answer")

run("voter_1", judge)
```
"""

from magi.domain.messages import Opinion, Task
from magi.voters.agent import Judge, VoterAgent
from magi.voters.run import run

__all__ = ["Judge", "Opinion", "Task", "VoterAgent", "run"]
