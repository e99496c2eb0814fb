import pytest

from magi.domain.errors import (
    AlreadyVoted,
    InvalidMessage,
    Late,
    NotOnPanel,
    NoVoters,
    Refused,
    RequestConflict,
    StrategyMissing,
    UnknownRequest,
    UnknownStrategy,
    UnknownTask,
    UnknownVoter,
    VoterUnavailable,
)

# The codes of PROTOCOL §1 and §2 that the domain answers with.
CODES = {
    "invalid_message": InvalidMessage,
    "unknown_voter": UnknownVoter,
    "voter_unavailable": VoterUnavailable,
    "no_voters": NoVoters,
    "unknown_strategy": UnknownStrategy,
    "request_conflict": RequestConflict,
    "unknown_request": UnknownRequest,
    "unknown_task": UnknownTask,
    "late": Late,
    "already_voted": AlreadyVoted,
    "not_on_panel": NotOnPanel,
}


@pytest.mark.parametrize(("code", "refusal"), CODES.items())
def test_a_refusal_carries_its_code_and_its_message(code: str, refusal: type[Refused]) -> None:
    refused = refusal("why")
    assert (refused.code, refused.message, str(refused), refused.retryable) == (code, "why", "why", False)


def test_no_two_refusals_share_a_code() -> None:
    ours = [refusal for refusal in Refused.__subclasses__() if refusal.__module__ == Refused.__module__]
    codes = [refusal.code for refusal in ours]
    assert len(codes) == len(set(codes))


def test_a_missing_strategy_is_no_refusal() -> None:
    """Whoever handles refusals ends the message that it refuses; this one must come again."""
    assert not issubclass(StrategyMissing, Refused)
