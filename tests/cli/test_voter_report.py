import msgspec
import pytest

from magi.cli.voter_report import VoterCard, health, show_card, voter_card, what_happened
from magi.domain import voter as voters
from magi.domain.directory import Directory, DirectoryEvent
from magi.domain.ids import VoterId
from magi.eventstore.presence import Instance

AT = "2026-01-31T12:00:00.000Z"
LATER = "2026-01-31T12:00:30.000Z"
REGISTERED = voters.VoterRegistered(voter_id="a", kind="nats", group="code", weight=2.5, by="ann@host")


def card(*events: DirectoryEvent, instances: tuple[Instance, ...] = ()) -> VoterCard:
    directory = Directory()
    numbered = [
        msgspec.structs.replace(event, originator_id="voter.a", originator_version=version, at=AT)
        for version, event in enumerate((REGISTERED, *events), 1)
    ]
    for event in numbered:
        directory.apply(event)
    return voter_card(directory.voters[VoterId("a")], instances, numbered)


def text(shown: VoterCard) -> str:
    return "\n".join(paragraph.plain for paragraph in show_card(shown))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (REGISTERED, "registered: kind nats, group code, weight 2.5, capacity 8, max attempts 3"),
        (voters.VoterChanged(group="x", settings={"url": "u"}, by="t"), 'changed: group x, settings {"url":"u"}'),
        (voters.VoterKeyChanged(public_key="UA", by="t"), "key changed to UA"),
        (voters.VoterTokenIssued(token_id="01", sha256="0123", by="t"), "token 01 issued"),
        (voters.VoterTokenExpires(token_id="01", expires=LATER, by="t"), f"token 01 expires {LATER}"),
        (voters.VoterTokenRevoked(token_id="01", by="t"), "token 01 revoked"),
        (voters.VoterSuspended(by="t"), "suspended until it is reinstated"),
        (voters.VoterSuspended(until=LATER, by="t"), f"suspended until {LATER}"),
        (voters.VoterOnProbation(by="t"), "tried with probes"),
        (voters.VoterKept(by="t"), "kept in service, though it doesn't answer"),
        (voters.VoterReinstated(by="t"), "reinstated"),
        (voters.VoterRevoked(by="t"), "revoked for ever"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_event_has_its_words(event: DirectoryEvent, words: str) -> None:
    assert what_happened(event) == words


def test_the_history_says_when_what_who_and_why() -> None:
    shown = card(voters.VoterSuspended(reason="on holiday", by="bob@host"))
    assert [(row.at, row.event, row.by, row.why) for row in shown.history] == [
        (AT, "voter_registered", "ann@host", ""),
        (AT, "voter_suspended", "bob@host", "on holiday"),
    ]
    assert text(shown).splitlines()[-1].split("  ") == [AT, *_cells("suspended until it is reinstated")]


def _cells(what: str) -> list[str]:
    padding = len("registered: kind nats, group code, weight 2.5, capacity 8, max attempts 3") - len(what)
    return (what + " " * padding + "  bob@host  on holiday").split("  ")


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ((), "never ejected"),
        ((voters.VoterSuspended(by="t"),), "never ejected"),
        ((voters.VoterSuspended(until=LATER, ejections=1, by="t"),), f"ejected once; out until {LATER}"),
        (
            (voters.VoterSuspended(until=LATER, ejections=2, by="t"), voters.VoterOnProbation(by="t")),
            "ejected 2 times in a row; tried with probes",
        ),
        ((voters.VoterSuspended(until=LATER, ejections=1, by="t"), voters.VoterReinstated(by="t")), "ejected once"),
        ((voters.VoterRevoked(by="t"),), ""),
    ],
)
def test_its_health_in_a_few_words(events: tuple[DirectoryEvent, ...], said: str) -> None:
    assert health(card(*events)) == said


def test_instances_are_listed_with_how_they_do() -> None:
    running = Instance("voter.a", "i1", "1.2", 0, 4, 3, 120, 9, 1, "box")
    line = next(line for line in text(card(instances=(running,))).splitlines() if line.startswith("i1"))
    assert line.split() == ["i1", "box", "1.2", "4", "3", "120", "ms", "90", "%"]


def test_what_an_instance_says_of_itself_can_not_steer_the_terminal() -> None:
    assert "\x1b" not in text(card(instances=(Instance("voter.a", "i1", "\x1b[2J", host="\x1b]0;x\x07"),)))
