"""The directory's events to rows: every type that there is, of voters and of others."""

import msgspec
import pytest

from magi.domain.clock import rfc3339
from magi.domain.directory import DirectoryEvent
from magi.domain.template import PanelDefined, PanelRemoved
from magi.domain.voter import (
    VoterChanged,
    VoterKept,
    VoterKeyChanged,
    VoterOnProbation,
    VoterRegistered,
    VoterReinstated,
    VoterRevoked,
    VoterSuspended,
    VoterTokenIssued,
    VoterTokenRevoked,
)
from magi.projections.directory_fold import DirectoryFold
from magi.projections.errors import CannotApply
from magi.projections.rows import DirectoryVoter

START = 1_769_860_800_000

LIFE: tuple[DirectoryEvent, ...] = (
    VoterRegistered(voter_id="a", kind="http", group="services", settings={"url": "https://example.org"}, by="t"),
    VoterChanged(description="judges", group="code", weight=2.0, by="t"),
    VoterKeyChanged(public_key="UAAA", by="t"),
    VoterTokenIssued(token_id="0123", sha256="0123…", by="t"),
    VoterTokenRevoked(token_id="0123", by="t"),
    VoterKept(by="t"),
    VoterSuspended(reason="silent", until=rfc3339(START + 60_000), ejections=1, by="t"),
    VoterOnProbation(by="t"),
    VoterReinstated(reason="answered", by="t"),
    VoterRevoked(reason="gone", by="t"),
)


def nth(version: int, aggregate: str, event: DirectoryEvent) -> DirectoryEvent:
    at = rfc3339(START + version)
    return msgspec.structs.replace(event, originator_id=aggregate, originator_version=version, at=at)


def test_every_event_of_a_voter_leads_to_the_row_that_it_has_then() -> None:
    fold = DirectoryFold()
    for version, event in enumerate(LIFE, 1):
        fold.apply("voter.a", nth(version, "voter.a", event))
        (row,) = fold.take()
        assert (row.voter_id, row.version, row.kind) == ("a", version, "http")
    assert row == DirectoryVoter(
        "a", len(LIFE), "http", "judges", "code", "UAAA", "revoked", rfc3339(START + len(LIFE)), "gone"
    )


def test_the_status_and_its_reason_follow_the_health() -> None:
    fold = DirectoryFold()
    seen = []
    for version, event in enumerate(LIFE, 1):
        fold.apply("voter.a", nth(version, "voter.a", event))
        (row,) = fold.take()
        seen.append((row.status, row.reason))
    assert seen[5:9] == [("active", ""), ("suspended", "silent"), ("suspended", "silent"), ("active", "answered")]


def test_of_what_is_stored_together_all_is_folded_in_or_nothing() -> None:
    life = [nth(version, "voter.a", event) for version, event in enumerate(LIFE, 1)]
    fold = DirectoryFold()
    with pytest.raises(CannotApply, match="version: expected 3"):
        fold.apply("voter.a", *life[:2], life[3])
    assert (fold.take(), fold.voters) == ([], {})
    fold.apply("voter.a", *life[:3])
    (row,) = fold.take()
    assert (row.version, row.public_key) == (3, "UAAA")
    with pytest.raises(CannotApply, match="belongs to"):
        fold.apply("voter.a", life[3], nth(5, "voter.b", LIFE[4]))
    assert (fold.take(), fold.voters["a"].version) == ([], 3)


@pytest.mark.parametrize("event", [PanelDefined(panel_id="a", members=("a",), by="t"), PanelRemoved(by="t")])
def test_a_panels_events_lead_to_no_row(event: DirectoryEvent) -> None:
    fold = DirectoryFold()
    fold.apply("panel.a", nth(1, "panel.a", event))
    assert fold.take() == []
