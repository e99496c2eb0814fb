"""What `Requests` tells of its requests, to whoever minds the voters' health and to whoever counts."""

from magi.domain.ids import AggregateId
from magi.domain.messages import Submission
from magi.domain.voting_request import Received, RequestEvent, VotingRequest


class Watch:
    """Doesn't look. None of it may wait, and none of it raises."""

    def dispatched(
        self, aggregate: AggregateId, submission: Submission, received: Received, voters: tuple[str, ...]
    ) -> None:
        """`voters` got their tasks, from here."""

    def happened(self, aggregate: AggregateId, state: VotingRequest, event: RequestEvent) -> None:
        """An event was stored from here, and led to `state`."""

    def too_late(self, state: VotingRequest, voter: str, arrived: int) -> None:
        """A vote came after the verdict; it reached the inbox at `arrived` (milliseconds)."""

    def refused(self, code: str) -> None:
        """A submission was refused, with this code."""

    def repeated(self) -> None:
        """A submission came of a request that is in the log already."""

    def left(self) -> None:
        """A message could not be handled, and comes again."""

    def dropped(self, aggregate: AggregateId) -> None:
        """The request is out of our hands, or what we know of it is doubtful."""
