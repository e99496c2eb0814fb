"""How a task looks to the person who judges it. Pure: what was submitted can't steer the terminal."""

from collections.abc import Iterator

import msgspec
from rich.text import Text

from magi.cli.safe import printable, printable_json, printable_line
from magi.domain.messages import Task, Vote

QUESTION = "pass, fail or abstain, then Enter [p/f/a] "
REASON = "because (Enter: no reason): "
_CHOICES: dict[str, Vote] = {"p": "pass", "f": "fail", "a": "abstain"}
_MARGIN = "  │ "


def choice(line: str) -> Vote | None:
    """The vote that a line means: its first letter, or the whole word. None when it means none."""
    text = line.strip().lower()
    vote = _CHOICES.get(text[:1])
    return vote if vote and vote.startswith(text) else None


def task_lines(task: Task) -> Iterator[Text]:
    """The whole of what was asked and answered. Every line of it has a margin, so that none passes for one of ours."""
    yield Text()
    yield Text(f"── request {printable_line(task.request_id)}, to be judged before {task.deadline} ──", "bold")
    yield from _block("asked", task.user_query)
    yield from _block("answered", task.agent_answer)
    if task.metadata:
        yield Text("metadata", "bold")
        yield Text(_MARGIN + printable_json(msgspec.json.encode(task.metadata).decode()))


def _block(title: str, content: str) -> Iterator[Text]:
    yield Text(title, "bold")
    for line in printable(content).split("\n") if content else ["(empty)"]:
        yield Text(_MARGIN + line)
