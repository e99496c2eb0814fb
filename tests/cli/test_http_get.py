import pytest

from magi.cli.http_get import CannotGet, get
from tests.servers import NatsServer


async def test_status_and_body_come_back_whatever_the_status(nats_server: NatsServer) -> None:
    status, body = await get(f"{nats_server.monitor_url}/varz")
    assert (status, b"server_id" in body) == (200, True)
    assert (await get(f"{nats_server.monitor_url}/nonsense"))[0] == 404


async def test_no_proxy_is_asked(nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert (await get(f"{nats_server.monitor_url}/varz"))[0] == 200


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "file:///etc/passwd", "http://", "http://[/"])
async def test_what_can_not_be_had_says_why(url: str) -> None:
    with pytest.raises(CannotGet) as problem:
        await get(url)
    assert str(problem.value)


async def test_what_does_not_speak_http_is_no_answer(nats_server: NatsServer) -> None:
    with pytest.raises(CannotGet):
        await get(nats_server.url.replace("nats:", "http:"))
