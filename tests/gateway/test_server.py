"""The gateway as whoever knocks sees it: who is let in, by which door, and who is shown out again."""

import asyncio
import os
import signal
import urllib.error
import urllib.request
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from magi.domain.tokens import ENTROPY, new_token
from magi.eventstore.bus import BusError
from magi.gateway.server import CannotListen, Gateway
from magi.gateway.settings import GatewaySettings, Limits
from magi.telemetry.declarations import GATEWAY_ERRORS
from tests.gateway.client import FINAL, Client, request
from tests.gateway.stack import QUICK, Stack, running
from tests.servers import NatsServer
from tests.waiting import stopwatch, until


async def refused(stack: Stack, token: str | None = None, **options: Any) -> InvalidStatus:
    """The answer to a handshake that isn't let in."""
    with pytest.raises(InvalidStatus) as refusal:
        async with Client.connect(stack.gateway.port, token, **options):
            pass
    return refusal.value


async def get(stack: Stack, path: str) -> tuple[int, bytes]:
    """Status and body of an ordinary HTTP request."""

    def fetch() -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{stack.gateway.port}{path}", timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    return await asyncio.to_thread(fetch)


class TestPaths:
    async def test_initiators_are_served_here(self, stack: Stack, subtests: pytest.Subtests) -> None:
        for path in ["/", "/v1/initiator", "/?x=1", "/v1/initiator?token=unused"]:
            with subtests.test(path=path):
                async with Client.connect(stack.gateway.port, stack.token, path) as client:
                    assert await client.ask({"type": "ping"}) == {"type": "pong"}

    async def test_there_is_nothing_else(self, stack: Stack, subtests: pytest.Subtests) -> None:
        for path in ["/v1", "/v1/initiator/", "/v2", "/v2/initiators", "/../v1/initiator"]:
            with subtests.test(path=path):
                assert (await refused(stack, stack.token, path=path)).response.status_code == 404

    async def test_it_says_that_it_is_alive_and_ready(self, stack: Stack) -> None:
        assert await get(stack, "/healthz") == (200, b"alive\n")
        assert await get(stack, "/readyz") == (200, b"ready\n")

    async def test_without_nats_it_is_alive_and_not_ready(self, fresh_nats: NatsServer) -> None:
        async with running(fresh_nats.url) as stack:
            fresh_nats.kill()

            async def not_ready() -> bool:
                return await get(stack, "/readyz") == (503, b"not ready\n")

            await until(not_ready, "it knows that NATS is gone")
            assert await get(stack, "/healthz") == (200, b"alive\n")
            fresh_nats.start()

    async def test_an_address_that_is_taken_is_named(self, stack: Stack) -> None:
        settings = GatewaySettings(port=stack.gateway.port)
        bus = await stack.connect("second")
        second = Gateway(bus, settings, partitions=1, panel_size=1, default_group="default")
        with pytest.raises(CannotListen, match=f"can't listen on 127.0.0.1:{stack.gateway.port}"):
            await second.start()
        await second.stop()


class TestAuthenticationByHeader:
    async def test_there_is_no_greeting(self, client: Client) -> None:
        assert await client.ask({"type": "ping"}) == {"type": "pong"}

    async def test_the_scheme_is_read_as_http_has_it(self, stack: Stack, subtests: pytest.Subtests) -> None:
        for scheme in ["Bearer", "bearer", "BEARER"]:
            with subtests.test(scheme=scheme):
                headers = {"Authorization": f"{scheme} {stack.token}"}
                async with Client.connect(stack.gateway.port, headers=headers) as client:
                    assert await client.silent()

    async def test_a_bad_token_is_http_401(self, stack: Stack, subtests: pytest.Subtests) -> None:
        for authorization in [
            "Bearer {unknown}",
            "Bearer {token}x",
            "Bearer {lower}",
            "Bearer",
            "Bearer ",
            "",
            "{token}",
            "Basic {token}",
            "Bearer magi_i_ünknown",
            "Bearer {token} {token}",
        ]:
            with subtests.test(authorization=authorization):
                unknown = new_token("i", os.urandom(ENTROPY))
                text = authorization.format(unknown=unknown, token=stack.token, lower=stack.token.lower())
                answer = (await refused(stack, headers={"Authorization": text})).response
                assert answer.status_code == 401
                assert answer.headers["WWW-Authenticate"] == "Bearer"

    async def test_a_voters_token_is_none_of_an_initiator(self, stack: Stack) -> None:
        answer = await refused(stack, new_token("v", os.urandom(ENTROPY)))
        assert answer.response.status_code == 401

    async def test_a_bad_token_and_a_page_of_elsewhere_are_counted(self, stack: Stack) -> None:
        def counted(code: str) -> int:
            values: list[Any] = [value for metric, value in stack.gateway.metrics() if metric is GATEWAY_ERRORS]
            return int(values[0]["initiator", code])

        before = counted("unauthorized")
        await refused(stack, new_token("i", os.urandom(ENTROPY)))
        assert counted("unauthorized") == before + 1
        answer = await refused(stack, stack.token, headers={"Origin": "https://elsewhere.example"})
        assert answer.response.status_code == 403
        assert counted("origin") == 1

    async def test_two_tokens_are_none(self, stack: Stack) -> None:
        headers = [("Authorization", f"Bearer {stack.token}")] * 2
        assert (await refused(stack, headers=headers)).response.status_code == 401


class TestSubprotocol:
    async def test_a_client_that_offers_none_is_served(self, client: Client) -> None:
        assert client.connection.subprotocol is None
        assert await client.silent()

    async def test_ours_is_chosen(self, stack: Stack, subtests: pytest.Subtests) -> None:
        for offered in [["magi.v1"], ["magi.v9", "magi.v1"]]:
            with subtests.test(offered=offered):
                async with Client.connect(stack.gateway.port, stack.token, subprotocols=offered) as client:
                    assert client.connection.subprotocol == "magi.v1"
                    assert await client.silent()

    async def test_a_client_that_offers_only_others_is_http_400(self, stack: Stack, subtests: pytest.Subtests) -> None:
        for offered in [["magi.v2"], ["graphql-ws", "mqtt"]]:
            with subtests.test(offered=offered):
                assert (await refused(stack, stack.token, subprotocols=offered)).response.status_code == 400


class TestRevocation:
    async def test_it_closes_the_connections_that_were_opened_with_the_token(self, stack: Stack) -> None:
        token = await stack.add_initiator("leaver")
        async with stack.client(token) as by_header, Client.connect(stack.gateway.port) as by_message:
            await by_message.ask({"type": "authenticate", "token": token})
            assert await by_header.silent()
            await stack.revoke_token("leaver", token)
            assert await by_header.closed() == 4507
            assert await by_message.closed() == 4507
        assert (await refused(stack, token)).response.status_code == 401

    async def test_it_leaves_others_alone(self, stack: Stack, client: Client) -> None:
        token = await stack.add_initiator("leaver")
        other = await stack.issue_token("leaver")
        async with stack.client(token) as gone, stack.client(other) as same_initiator:
            await stack.revoke_token("leaver", token)
            assert await gone.closed() == 4507
            assert await same_initiator.silent()
            assert await client.silent()

    async def test_a_connection_that_changed_to_another_token_stays(self, stack: Stack) -> None:
        token = await stack.add_initiator("renewer")
        renewed = await stack.issue_token("renewer")
        async with stack.client(token) as client:
            answer = await client.ask({"type": "authenticate", "token": renewed})
            assert answer == {"type": "authenticated", "initiator_id": "renewer"}
            await stack.revoke_token("renewer", token)
            async with stack.client(renewed) as witness:  # which the gateway lets in after it has read the revocation
                await witness.silent()
            assert await client.silent()

    async def test_revoking_the_initiator_revokes_all_its_tokens(self, stack: Stack) -> None:
        token = await stack.add_initiator("leaver")
        async with stack.client(token) as client:
            await stack.revoke_initiator("leaver")
            assert await client.closed() == 4507


class TestFrames:
    async def test_a_binary_frame_closes_with_1003(self, client: Client) -> None:
        await client.send(b'{"type":"ping"}')
        assert await client.closed() == 1003

    async def test_bad_utf8_closes_with_1007(self, client: Client) -> None:
        await client.connection.send(b'{"type":"ping","x":"\xff"}', text=True)
        assert await client.closed() == 1007

    async def test_a_message_of_the_limit_is_taken_and_one_byte_more_closes_with_1009(self, stack: Stack) -> None:
        empty = '{"type":"ping","x":""}'
        padding = "x" * (QUICK.message_bytes - len(empty))
        async with stack.client() as client:
            assert await client.ask(empty.replace('""', f'"{padding}"')) == {"type": "pong"}
            await client.send(empty.replace('""', f'"{padding}x"'))
            assert await client.closed() == 1009

    async def test_a_request_of_the_limit_is_judged(self, client: Client) -> None:
        rest = len(str(client.encode(request(agent_answer=""))))
        answer = "\\" * ((QUICK.message_bytes - rest) // 2)  # the worst case: twice as long in JSON
        assert (await client.judged(request(agent_answer=answer)))[-1]["type"] == FINAL


async def test_a_client_that_does_not_authenticate_is_closed_with_4502(nats_server: NatsServer) -> None:
    async with (
        running(nats_server.url, Limits(authentication_seconds=0.2)) as stack,
        Client.connect(stack.gateway.port) as client,
    ):
        assert (await client.ask({"type": "ping"}))["code"] == "unauthorized"  # which doesn't count
        assert await client.closed() == 4502


async def test_a_client_that_cannot_be_served_now_is_closed_with_1013(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def subscribe(*_: object) -> None:
        raise BusError("no answer")

    token = await stack.add_initiator("newcomer")
    with monkeypatch.context() as without:
        without.setattr(stack.gateway._bus, "subscribe", subscribe)
        async with stack.client(token) as client:
            assert await client.closed() == 1013
    async with stack.client(token) as client:
        assert (await client.judged(request()))[-1]["type"] == FINAL


async def test_several_gateways_serve_the_same_requests(stack: Stack, client: Client) -> None:
    second = await stack.start_gateway()
    async with stack.client(gateway=second) as other:
        events = await client.judged(request())
        assert (await other.resume("abc123"))[:-1] == events


async def test_a_nats_that_does_not_answer_holds_its_end_up_by_seconds_only(fresh_nats: NatsServer) -> None:
    async with running(fresh_nats.url) as stack:
        gateway = await stack.start_gateway(grace=0.3)
        async with stack.client(gateway=gateway) as client:
            os.kill(fresh_nats.pid, signal.SIGSTOP)
            await client.send(request())
            try:
                async with stopwatch() as watch:
                    await asyncio.wait_for(gateway.stop(), 30)
                assert watch.seconds < 3.3  # a second each for the consumer's requests and deletion
            finally:
                os.kill(fresh_nats.pid, signal.SIGCONT)
