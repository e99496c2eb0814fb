"""The form of a case: what was asked, what was answered, the vote it deserves, and words that the reason must hold."""

from collections.abc import Callable

import pytest

from magi.domain.messages import Opinion, Task, Vote

Case = tuple[str, str, str, Vote, str]
"""Name, query, answer, vote, a fragment of the reason (case is ignored)."""


def task(query: str, answer: str) -> Task:
    return Task(
        task_id="t1", request_id="r1", user_query=query, agent_answer=answer, deadline="2030-01-01T00:00:00.000Z"
    )


def cases(table: list[Case]) -> pytest.MarkDecorator:
    names = [case[0] for case in table]
    assert len(set(names)) == len(names), "two cases have the same name"
    return pytest.mark.parametrize(("query", "answer", "vote", "fragment"), [case[1:] for case in table], ids=names)


def hold(judge: Callable[[Task], Opinion], query: str, answer: str, vote: Vote, fragment: str) -> None:
    opinion = judge(task(query, answer))
    assert opinion.vote == vote, f"{opinion.vote}: {opinion.reason}"
    assert fragment.lower() in (opinion.reason or "").lower(), opinion.reason
    assert opinion.reason is not None
    assert len(opinion.reason) <= 4096
