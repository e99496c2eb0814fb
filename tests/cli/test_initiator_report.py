import msgspec
import pytest

from magi.cli.initiator_report import InitiatorCard, initiator_card, show_initiator, what_happened
from magi.domain import initiator as initiators
from magi.domain.clock import milliseconds
from magi.domain.directory import Directory, DirectoryEvent
from magi.domain.ids import InitiatorId

AT = "2026-01-31T12:00:00.000Z"
LATER = "2026-01-31T12:00:30.000Z"
REGISTERED = initiators.InitiatorRegistered(initiator_id="a", description="a robot", by="ann@host")
ISSUED = initiators.TokenIssued(token_id="01", sha256="0123", expires=LATER, by="t")


def card(*events: DirectoryEvent, uses: dict[str, str] | None = None, now: str = AT) -> InitiatorCard:
    directory = Directory()
    numbered = [
        msgspec.structs.replace(event, originator_id="initiator.a", originator_version=version, at=AT)
        for version, event in enumerate((REGISTERED, *events), 1)
    ]
    for event in numbered:
        directory.apply(event)
    return initiator_card(directory.initiators[InitiatorId("a")], numbered, uses or {}, milliseconds(now))


def text(shown: InitiatorCard) -> str:
    return "\n".join(paragraph.plain for paragraph in show_initiator(shown))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (REGISTERED, "registered"),
        (
            initiators.InitiatorChanged(requests_per_second=0.5, connections=-1, by="t"),
            "changed: requests per second 0.5, connections as the settings say",
        ),
        (
            initiators.InitiatorChanged(open_requests=0, description="x", by="t"),
            "changed: open requests no quota, description x",
        ),
        (ISSUED, f"token 01 issued: initiate, until {LATER}"),
        (
            initiators.TokenIssued(token_id="01", sha256="0123", scopes=("read",), by="t"),
            "token 01 issued: read, for ever",
        ),
        (initiators.TokenExpires(token_id="01", expires=LATER, by="t"), f"token 01 expires {LATER}"),
        (initiators.TokenRevoked(token_id="01", by="t"), "token 01 revoked"),
        (initiators.InitiatorRevoked(by="t"), "revoked for ever"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_event_has_its_words(event: DirectoryEvent, words: str) -> None:
    assert what_happened(event) == words


def test_tokens_are_shown_with_what_they_are_good_for_and_their_last_use() -> None:
    other = initiators.TokenIssued(token_id="02", sha256="4567", scopes=("read",), by="t")
    lines = text(card(ISSUED, other, uses={"01": AT}, now=LATER)).splitlines()
    assert f"01     initiate  {AT}  expired {LATER}  {AT}" in lines
    assert any(line.split() == ["02", "read", AT, "never", "-"] for line in lines)


def test_without_a_token_it_says_so() -> None:
    assert "No token is valid." in text(card())


def test_a_description_can_not_steer_the_terminal() -> None:
    shown = text(card(initiators.InitiatorChanged(description="\x1b[2J", by="t")))
    assert "\x1b" not in shown
    assert r"\x1b[2J" in shown
