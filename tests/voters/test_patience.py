"""How long a judge may take."""

import pytest

from magi.domain.clock import rfc3339
from magi.domain.messages import Task
from magi.voters.patience import seconds_to_judge


@pytest.mark.parametrize(
    ("left_ms", "seconds"), [(30_000, 29.0), (5_000, 4.0), (1_000, 0.8), (100, 0.08), (0, 0.0), (-5_000, 0.0)]
)
def test_some_of_the_time_is_kept_back_to_say_that_it_was_too_little(left_ms: int, seconds: float):
    now = 1_790_000_000_000
    task = Task(task_id="t", request_id="r", user_query="q", agent_answer="a", deadline=rfc3339(now + left_ms))
    assert seconds_to_judge(task, now) == pytest.approx(seconds)
