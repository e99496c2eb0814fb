"""What is counted of the voters that run here, by all of their agents together: agents come and go, counts stay."""

from collections import Counter
from collections.abc import Iterable

from magi.telemetry import declarations as d
from magi.telemetry.instruments import Histograms, Reading


class VoterMetrics:
    """Of one process. The agents add to it."""

    def __init__(self) -> None:
        self.tasks: Counter[tuple[str, str]] = Counter()
        """Tries, by voter and outcome: `voted`, `failed`, `again`."""
        self.redelivered: Counter[str] = Counter()
        """Tasks that did not come for the first time, by voter."""
        self.open: Counter[str] = Counter()
        """Tasks that are being judged, by voter."""
        self.judged = Histograms(d.JUDGE_SECONDS)
        """How long votes took, by voter."""

    def metrics(self) -> Iterable[Reading]:
        yield d.TASKS_JUDGED, self.tasks
        yield d.TASK_REDELIVERIES, self.redelivered
        yield d.TASKS_OPEN, self.open
        yield d.JUDGE_SECONDS, self.judged
