"""The panel template: a panel that has a name, for requests to ask for. An aggregate of the directory."""

from typing import NamedTuple

import msgspec
from msgspec import Struct

from magi.domain.clock import rfc3339
from magi.domain.errors import Conflict
from magi.domain.event import Event
from magi.domain.ids import check_name
from magi.domain.slots import parse_slots

# --- Events: their fields are the storage format. Only add fields, with defaults. -------------------------------------


class PanelDefined(Event, frozen=True, kw_only=True, tag="panel_defined"):
    """From now on it is this, whatever it was before. Requests that were received keep the panel they got."""

    panel_id: str
    members: tuple[str, ...]
    """Each a voter's id, or ``2 of llm``."""
    description: str = ""
    reason: str = ""
    by: str
    """Who did it."""


class PanelRemoved(Event, frozen=True, kw_only=True, tag="panel_removed"):
    reason: str = ""
    by: str


TemplateEvent = PanelDefined | PanelRemoved

# --- Fold -------------------------------------------------------------------------------------------------------------


class Template(Struct, frozen=True):
    version: int = 0
    panel_id: str = ""
    members: tuple[str, ...] = ()
    """Empty: there is no such template, or no more."""
    description: str = ""
    since: str = ""
    """When it became what it is, RFC 3339."""


INITIAL = Template()


def evolve(state: Template, event: TemplateEvent) -> Template:
    """The state after `event`. Total: knows every event type that was ever stored."""
    version = state.version + 1
    match event:
        case PanelDefined():
            return Template(version, event.panel_id, event.members, event.description, event.at)
        case PanelRemoved():
            return msgspec.structs.replace(state, version=version, members=(), since=event.at)


# --- Decisions --------------------------------------------------------------------------------------------------------


class Define(NamedTuple):
    panel_id: str
    members: tuple[str, ...]
    description: str | None
    """None: what it was."""
    reason: str
    by: str
    now: int
    """Milliseconds since 1970, as in all commands."""


class Remove(NamedTuple):
    panel_id: str
    reason: str
    by: str
    now: int


TemplateCommand = Define | Remove


def decide(state: Template, command: TemplateCommand) -> list[TemplateEvent]:
    """The events that `command` leads to; none when the template is that already.

    Raises InvalidMessage when its name or a member can't be one, Conflict when there is none to remove.
    """
    at = rfc3339(command.now)
    match command:
        case Define(panel_id=name, description=description, reason=reason, by=by):
            check_name(name, "panel")
            members = tuple(str(slot) for slot in parse_slots(command.members))
            description = state.description if description is None else description
            if (state.members, state.description) == (members, description):
                return []
            defined = PanelDefined(at=at, panel_id=name, members=members, description=description, reason=reason, by=by)
            return [defined]
        case Remove(panel_id=name, reason=reason, by=by):
            if not state.version:
                raise Conflict(f"no panel is named {name[:80]!r}")
            return [PanelRemoved(at=at, reason=reason, by=by)] if state.members else []
