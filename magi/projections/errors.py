"""What can go wrong with a projection. Every message is for an operator."""


class ProjectionError(Exception):
    """Base of them."""


class PostgresUnreachable(ProjectionError):
    """Postgres doesn't answer, or doesn't let us in."""


class CannotApply(ProjectionError):
    """An event doesn't fit what was projected so far, or a row can't hold it: nothing of its message is folded in."""


class PositionMoved(ProjectionError):
    """Somebody else has written to these tables since we looked: load them again."""


class Halted(ProjectionError):
    """A projection can't go on by itself; an operator has to look."""

    kind = "event"

    def __init__(
        self,
        projection: str,
        reason: str,
        *,
        identity: str = "",
        sequence: int = 0,
        last_sequence: int = 0,
        subject: str = "",
        event: str = "",
    ) -> None:
        super().__init__(f"{projection}: {reason}")
        self.projection = projection
        self.reason = reason
        self.identity = identity
        """Of the stream."""
        self.sequence = sequence
        """Where it stands; 0 when it isn't about one message."""
        self.last_sequence = last_sequence or sequence
        self.subject = subject
        self.event = event


class EventRefused(Halted):
    """An event can't be applied, and so nothing of the message that holds it."""

    kind = "event"


class Hole(Halted):
    """Sequences are missing in a stream that never deletes."""

    kind = "hole"


class StreamReplaced(Halted):
    """The stream isn't the one that the tables were made from."""

    kind = "stream"


class OtherLayout(Halted):
    """The live tables were made by another version of MAGI."""

    kind = "layout"


class NoTables(ProjectionError):
    """There is no such version, or nothing was projected yet."""


class NotAllowed(ProjectionError):
    """A command that would do harm, such as dropping the tables that are in use."""
