"""Events are stored for ever: what was written must stay readable, and what is written must come back the same."""

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magi.domain.event import Event
from magi.domain.initiator import InitiatorEvent
from magi.domain.operations import OperatorActed
from magi.domain.template import TemplateEvent
from magi.domain.voter import VoterEvent
from magi.domain.voting_request import RequestEvent
from tests.domain.generate import documents, instances

STORED_EVENT = RequestEvent | VoterEvent | InitiatorEvent | TemplateEvent | OperatorActed
EVENT_TYPES: tuple[type[Event], ...] = get_args(STORED_EVENT)
decode = msgspec.json.Decoder(STORED_EVENT).decode

every_event_type = pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.__name__)
quick = settings(max_examples=40, deadline=None)

ENVELOPE = "aggregate version id at cause trace prev"

# The fields that events of version 1 had, and after the bar those that have a default. It only ever grows on the right.
VERSION_1 = {
    "received": "initiator_id request_id voters rule timeout_ms deadline digest content | decide",
    "voter_progress": "voter_id status |",
    "voter_result": "voter_id vote | reason confidence",
    "adjudicated": "final_vote details rule tally decided_by outcome_reason |",
    "voter_registered": "voter_id kind by | description group public_key",
    "voter_suspended": "by | reason",
    "voter_reinstated": "by | reason",
    "voter_revoked": "by | reason",
    "initiator_registered": "initiator_id by | description",
    "token_issued": "token_id sha256 by |",
    "token_revoked": "token_id by | reason",
    "initiator_revoked": "by | reason",
}

# What version 2 added: types as above, and fields of earlier ones behind their bar.
VERSION_2 = {
    "voter_result": "| failed",
    "adjudicated": "| out",
    "voter_registered": "| weight capacity max_attempts settings",
    "voter_suspended": "| until ejections",
    "voter_on_probation": "by | reason",
    "voter_kept": "by | reason",
    "voter_changed": "by | description group weight capacity max_attempts settings reason",
    "voter_key_changed": "public_key by | reason",
    "voter_token_issued": "token_id sha256 by | scopes expires",
    "voter_token_expires": "token_id expires by | reason",
    "voter_token_revoked": "token_id by | reason",
    "panel_defined": "panel_id members by | description reason",
    "panel_removed": "by | reason",
    "initiator_changed": "by | description requests_per_second open_requests connections reason",
    "token_issued": "| scopes expires",
    "token_expires": "token_id expires by | reason",
}

# And version 3.
VERSION_3 = {"operator_acted": "action by | what outcome reason"}


def fields(kind: type[Event]) -> Iterator[tuple[str, bool]]:
    """Names as stored, and whether the field has no default."""
    return ((field.encode_name, field.required) for field in msgspec.structs.fields(kind))


def test_every_event_has_the_fields_that_it_had_and_no_more_required_ones() -> None:
    now = {str(kind.__struct_config__.tag): dict(fields(kind)) for kind in EVENT_TYPES}
    for tag, line in [*VERSION_1.items(), *VERSION_2.items(), *VERSION_3.items()]:
        required, _, optional = line.partition("|")
        if tag in VERSION_1:
            required = VERSION_1[tag].partition("|")[0]
        assert {name for name, needed in now[tag].items() if needed} <= set(required.split())
        assert set(f"{required} {optional} {ENVELOPE}".split()) <= set(now[tag])


def test_every_event_type_is_held_to_a_version() -> None:
    """One that is new since version 1 gets a table of its own here, once a log holds it."""
    assert {kind.__struct_config__.tag for kind in EVENT_TYPES} == set(VERSION_1) | set(VERSION_2) | set(VERSION_3)


@every_event_type
def test_an_event_comes_back_from_the_log_as_it_was(kind: type[Event]) -> None:
    @quick
    @given(instances(kind))
    def comes_back(event: Event) -> None:
        assert decode(msgspec.json.encode(event)) == event

    comes_back()


@every_event_type
def test_fields_that_a_later_version_added_are_ignored(kind: type[Event]) -> None:
    @quick
    @given(documents(kind), st.dictionaries(st.sampled_from(["later", "_x", "Type", ""]), st.integers(), min_size=1))
    def ignored(document: dict[str, Any], later: dict[str, Any]) -> None:
        with_later = {key: _with(later, value) if key in NESTED else value for key, value in document.items()}
        assert decode(msgspec.json.encode({**with_later, **later})) == decode(msgspec.json.encode(document))

    ignored()


NESTED = ("rule", "content")
"""Structs within an event; its other objects are the client's or the rule's own."""


def _with(later: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    return {**value, **later}


@every_event_type
def test_fields_that_an_earlier_version_did_not_have_get_their_defaults(kind: type[Event]) -> None:
    required = {name for name, needed in fields(kind) if needed}

    @quick
    @given(documents(kind))
    def defaults(document: dict[str, Any]) -> None:
        earlier = {name: value for name, value in document.items() if name in required | {"type"}}
        event = decode(msgspec.json.encode(earlier))
        for field in msgspec.structs.fields(kind):
            if not field.required:
                made = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
                assert getattr(event, field.name) == made

    defaults()


def test_an_event_of_an_unknown_type_is_none_of_ours() -> None:
    for stored in (b'{"type":"never_heard_of"}', b'{"voter_id":"a","status":"s"}', b"{}", b"[]"):
        with pytest.raises(msgspec.ValidationError):
            decode(stored)


def test_an_event_is_a_domain_event_of_the_eventsourcing_library() -> None:
    event = msgspec.convert(
        {"type": "voter_progress", "voter_id": "a", "status": "s", "aggregate": "agent.x", "version": 3},
        STORED_EVENT,
    )
    assert (event.originator_id, event.originator_version) == ("agent.x", 3)
