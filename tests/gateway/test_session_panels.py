"""Requests that ask for a panel by its name."""

from typing import Any

from magi.domain.errors import InvalidMessage
from magi.domain.template import Define, Remove
from magi.eventstore.directory import change_template
from magi.eventstore.presence import now_ms
from magi.gateway import wire
from magi.gateway.settings import Limits
from tests.gateway.client import Client, error, request
from tests.gateway.stack import Stack
from tests.waiting import until


async def define(stack: Stack, name: str, *members: str) -> None:
    """Define a template, and wait until the gateway and the orchestrator know it."""
    await change_template(stack.directory, Define(name, members, None, "", "test", now_ms()))
    await _until_known(stack, name, members)


async def remove(stack: Stack, name: str) -> None:
    await change_template(stack.directory, Remove(name, "", "test", now_ms()))
    await _until_known(stack, name, ())


async def _until_known(stack: Stack, name: str, members: tuple[str, ...]) -> None:
    async def known() -> bool:
        views = (stack.gateway._directory, stack.orchestrator._directory)
        found = [view.directory.templates.get(name) for view in views]
        return all(template is not None and template.members == members for template in found)

    await until(known, f"gateway and orchestrator know the panel {name}")


async def test_the_panel_is_the_templates_of_that_moment(stack: Stack, client: Client) -> None:
    await define(stack, "two", "voter_2", "voter_1")
    acknowledged, *_ = await client.judged(request("r1", panel="two"))
    assert acknowledged["voters"] == ["voter_2", "voter_1"]
    await define(stack, "two", "1 of default")
    acknowledged, *_ = await client.judged(request("r2", panel="two"))
    assert acknowledged["voters"] == ["voter_1"]


async def test_for_a_suspended_member_another_of_its_group_stands_in(stack: Stack, client: Client) -> None:
    await define(stack, "two", "voter_1", "voter_2")
    await stack.suspend("voter_1")
    acknowledged, *_ = await client.judged(request(panel="two"))
    assert acknowledged["voters"] == ["voter_3", "voter_2"]


async def test_a_request_that_was_received_is_found_again_when_its_panel_is_no_more(
    stack: Stack, client: Client
) -> None:
    await define(stack, "gone", "voter_1")
    events = await client.judged(request("r1", panel="gone"))
    await remove(stack, "gone")
    assert await client.judged(request("r1", panel="gone")) == events
    answer = await client.ask(request("r1"))
    assert answer["code"] == "request_conflict", "the panel is part of what was asked for"
    assert (await client.ask(request("r2", panel="gone")))["code"] == "invalid_message"


async def test_what_can_be_no_panel_is_refused(stack: Stack, client: Client) -> None:
    await define(stack, "few", "voter_1", "nobody")
    for panel, answer in (
        ("none", error("invalid_message", "panel: no panel is named 'none'; there are few", "abc123")),
        (
            "few",
            error(
                "no_voters",
                "panel 'few' can't be formed: 1 of 2 voters are there, and 2 are needed: nobody is not registered",
                "abc123",
            ),
        ),
    ):
        assert await client.ask(request(panel=panel)) == answer


def _refusal(**fields: Any) -> str:
    incoming = wire.decode(Client.encode(request(**fields)), Limits())
    assert isinstance(incoming.error, InvalidMessage)
    return incoming.error.message


def test_the_message_names_the_field() -> None:
    assert _refusal(panel=5) == "panel: expected `str`, got `int`"
    assert _refusal(panel="A\x1b") == "panel: expected 1 to 64 of a-z, 0-9, '_' and '-', got 'A\\x1b'"
    assert _refusal(panel="a", voter_list=["b"]) == "panel: expected either panel or voter_list, not both"


def test_an_empty_name_is_none() -> None:
    message = wire.decode(Client.encode(request(panel="", voter_list=["b"])), Limits()).message
    assert isinstance(message, wire.Request)
    assert wire.submission(message, "agent").panel == ""
