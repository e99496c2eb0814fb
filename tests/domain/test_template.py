from magi.domain.clock import rfc3339
from magi.domain.errors import Conflict, InvalidMessage
from magi.domain.template import (
    INITIAL,
    Define,
    PanelDefined,
    PanelRemoved,
    Remove,
    Template,
    TemplateCommand,
    TemplateEvent,
    decide,
    evolve,
)
from tests.domain.spec import Aggregate

TEMPLATE: Aggregate[Template, TemplateCommand, TemplateEvent] = Aggregate(INITIAL, decide, evolve)
given = TEMPLATE.given

NOW = 1_769_860_800_000
AT = rfc3339(NOW)


def define(*members: str, name: str = "code", description: str | None = "for code") -> Define:
    return Define(name, members, description, "asked for", "admin", NOW)


def defined(*members: str, description: str = "for code") -> PanelDefined:
    return PanelDefined(
        at=AT, panel_id="code", members=members, description=description, reason="asked for", by="admin"
    )


REMOVE = Remove("code", "not used", "admin", NOW)
removed = PanelRemoved(at=AT, reason="not used", by="admin")


def test_it_is_defined_with_its_members_as_they_are_written_best() -> None:
    given().when(define(" melchior", "2  of llm ")).then(defined("melchior", "2 of llm"))


def test_it_becomes_another_when_it_is_defined_anew() -> None:
    given(defined("a")).when(define("a", "b")).then(defined("a", "b"))
    given(defined("a")).when(define("a", description="other")).then(defined("a", description="other"))


def test_without_a_description_it_keeps_the_one_it_has() -> None:
    given(defined("a")).when(define("b", description=None)).then(defined("b"))
    given().when(define("b", description=None)).then(defined("b", description=""))


def test_what_it_is_already_is_no_event() -> None:
    given(defined("a", "1 of b")).when(define("a", "01 of b")).then_nothing()


def test_one_that_can_not_be_is_refused() -> None:
    given().when(define("a", name="A")).then_refused(InvalidMessage, "panel")
    given().when(define("a", "a")).then_refused(InvalidMessage, "'a' is there twice")
    given().when(define()).then_refused(InvalidMessage, "members")


def test_it_is_removed_and_may_come_back() -> None:
    given(defined("a")).when(REMOVE).then(removed)
    given(defined("a"), removed).when(REMOVE).then_nothing()
    given(defined("a"), removed).when(define("a")).then(defined("a"))


def test_one_that_never_was_can_not_be_removed() -> None:
    given().when(REMOVE).then_refused(Conflict, "no panel is named 'code'")


def test_the_state_is_the_last_definition() -> None:
    history: list[TemplateEvent] = [defined("a"), removed, defined("b", "c", description="new")]
    assert TEMPLATE.fold(history) == Template(3, "code", ("b", "c"), "new", AT)
    assert TEMPLATE.fold(history[:2]).members == ()
