"""Errors as values of the protocol: each refusal is a type that carries its `code` of PROTOCOL §1."""

from typing import ClassVar


class Refused(Exception):
    """What was asked can't be done, and why. The message is shown to whoever asked: it names the field or the voter."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidMessage(Refused):
    code = "invalid_message"


class UnknownVoter(Refused):
    code = "unknown_voter"


class VoterUnavailable(Refused):
    code = "voter_unavailable"


class NoVoters(Refused):
    code = "no_voters"


class UnknownStrategy(Refused):
    """No such strategy, or its parameters don't fit it or the panel."""

    code = "unknown_strategy"


class RequestConflict(Refused):
    code = "request_conflict"


class UnknownRequest(Refused):
    code = "unknown_request"


class UnknownTask(Refused):
    code = "unknown_task"


class NotOnPanel(Refused):
    code = "not_on_panel"


class AlreadyVoted(Refused):
    code = "already_voted"


class Late(Refused):
    """A ballot that came after the verdict."""

    code = "late"


class Conflict(Refused):
    """The aggregate is not in the state that the command needs (a directory command: registered twice, unknown …)."""

    code = "conflict"


class StrategyMissing(Exception):
    """A stored rule can't be applied here: its strategy, or one that takes these parameters, is not installed.

    Not a refusal, since nobody asked for anything wrong: the command must wait, not be dropped, until the strategy is
    installed again.
    """
