"""A request that asks for a panel by its name."""

from magi.domain.ids import VoterId
from magi.domain.messages import encode
from magi.domain.panel import Candidate, Snapshot
from magi.domain.voting_request import INITIAL, Received, content_digest, decide
from tests.domain.requests import submission, submit


def test_another_panel_makes_another_request_and_none_the_digest_that_there_was() -> None:
    assert content_digest(submission(panel="code")) != content_digest(submission(panel="prose"))
    assert content_digest(submission(panel="")) == content_digest(submission())
    assert b"panel" not in encode(submission())


def test_the_panel_of_a_template_is_fixed_at_reception_as_are_the_registered_weights() -> None:
    voters = {VoterId(name): Candidate("active", weight=weight) for name, weight in (("a", 2.0), ("b", 0.5))}
    directory = Snapshot(voters, templates={"code": ("b", "a")})
    (event,) = decide(INITIAL, submit(directory, voter_list=(), panel="code", strategy="weighted"))
    assert isinstance(event, Received)
    assert event.voters == ("b", "a")
    assert event.rule.parameters["weights"] == {"b": 0.5, "a": 2.0}
