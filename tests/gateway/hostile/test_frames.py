"""Frames that break RFC 6455, or stretch it; sent by hand, since libraries refuse to."""

import json
import os
import zlib

import msgspec
import pytest

from tests.gateway.client import request
from tests.gateway.hostile.raw import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Raw, frame
from tests.gateway.hostile.target import Target, attacked
from tests.gateway.stack import QUICK
from tests.servers import NatsServer

ASK = json.dumps({"type": "ping"})
ANSWER = '{"type":"pong"}'
REQUEST = json.dumps(request())
LIMIT = QUICK.message_bytes


def bomb() -> bytes:
    """64 MiB of blanks, compressed as permessage-deflate has it: 64 KiB."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (squeeze.compress(b" " * 2**26) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]


BROKEN = {
    "unmasked": (frame(REQUEST, mask=None), 1002),
    "the first reserved bit": (frame(REQUEST, rsv=4), 1002),
    "the second reserved bit": (frame(REQUEST, rsv=2), 1002),
    "the third reserved bit": (frame(REQUEST, rsv=1), 1002),
    "a reserved opcode": (frame(REQUEST, 3), 1002),
    "a reserved control opcode": (frame(b"", 11), 1002),
    "a ping that is too long": (frame(b"x" * 126, PING), 1002),
    "a ping in fragments": (frame(b"x", PING, fin=0), 1002),
    "a continuation of nothing": (frame(REQUEST, CONTINUATION), 1002),
    "a message within a message": (frame(REQUEST[:9], fin=0) + frame(REQUEST), 1002),
    "a close code of one byte": (frame(b"\x03", CLOSE), 1002),
    "a close code that nobody may send": (frame(b"\x03\xee", CLOSE), 1002),
    "a close reason that is no UTF-8": (frame(b"\x03\xe8\xff", CLOSE), 1007),
    "binary": (frame(REQUEST, BINARY), 1003),
    "binary in fragments": (frame(b"{", BINARY, fin=0) + frame(b"}", CONTINUATION), 1003),
    "bytes that are no UTF-8": (frame(b'{"type":"ping","x":"\xff"}'), 1007),
    "a surrogate in UTF-8": (frame(b'{"type":"ping","x":"\xed\xa0\x80"}'), 1007),
    "UTF-8 that is longer than it need be": (frame(b'{"type":"ping","x":"\xc0\xaf"}'), 1007),
    "half a character at the end": (frame(b'{"type":"ping"}\xc3'), 1007),
    "half a character, and no other half": (frame(b'"\xc3', fin=0) + frame(b'"', CONTINUATION), 1007),
    "one byte more than the limit": (frame(b" " * (LIMIT + 1)), 1009),
    "fragments larger than the limit": (frame(b" " * LIMIT, fin=0) + frame(b"  ", CONTINUATION), 1009),
    "a terabyte, it says": (frame(b"x", length=2**40), 1009),
    "more than there can be, it says": (frame(b"x", length=2**63), 1009),
    "5,000 empty fragments": (frame(b"", fin=0) + frame(b"", CONTINUATION, fin=0) * 5_000, 1009),
    "a compression bomb, unasked": (frame(bomb(), rsv=4), 1002),
}


@pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=BROKEN)
async def test_what_breaks_the_rules_is_closed_by_the_code_for_it(target: Target, data: bytes, code: int) -> None:
    async with target.raw() as raw:
        raw.write(data)
        assert await raw.closed() == code


async def test_a_compression_that_is_offered_is_not_taken_and_its_bomb_not_unpacked(target: Target) -> None:
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    async with target.raw(offer) as raw:
        raw.write(frame(bomb(), rsv=4))
        assert await raw.closed() == 1002


async def test_no_extension_is_ever_agreed_on(target: Target) -> None:
    async with target.client() as client:
        answer = client.connection.response
        assert answer is not None
        assert "Sec-WebSocket-Extensions" not in answer.headers


async def test_a_message_may_come_in_fragments_with_pings_between_them(target: Target) -> None:
    async with target.raw() as raw:
        for number, byte in enumerate(ASK.encode()):
            raw.write(frame(bytes([byte]), CONTINUATION if number else TEXT, fin=number == len(ASK) - 1))
            raw.write(frame(b"%d" % number, PING))
        pongs = []
        while (found := await raw.next()) and found.opcode == PONG:
            pongs.append(found.payload)
        assert found
        assert found.payload.decode() == ANSWER
        assert pongs[: len(ASK) - 1] == [b"%d" % number for number in range(len(ASK) - 1)]


async def test_a_request_whose_last_fragment_never_comes_is_none(target: Target) -> None:
    async with target.raw() as raw:
        raw.write(frame(REQUEST, fin=0))
        raw.write(frame(b"", CLOSE))
        assert await raw.closed() == 1002
        await target.witness()


async def test_a_thousand_unasked_pongs_are_nothing(target: Target) -> None:
    async with target.raw() as raw:
        raw.write(frame(b"x", PONG) * 1_000 + frame(ASK))
        assert await raw.text() == ANSWER


async def test_ten_thousand_pings_keep_nobody_waiting(target: Target) -> None:
    async with target.raw() as raw:
        raw.write(frame(b"x" * 125, PING) * 10_000)
        await target.witness()
        raw.write(frame(ASK))
        assert await raw.text() == ANSWER


@pytest.mark.parametrize("size", [16, LIMIT], ids=["small", "of the limit"])
async def test_a_frame_that_is_never_finished_is_found_out(nats_server: NatsServer, size: int) -> None:
    """Half a frame, and then nothing: the pong that is asked for can't come."""
    limits = msgspec.structs.replace(QUICK, ping_seconds=0.3)
    async with attacked(nats_server.url, limits) as target, target.raw() as raw:
        raw.write(frame(b" " * (size // 2), length=size))
        assert await raw.closed() == 4002


async def test_whoever_answers_no_ping_is_found_out(nats_server: NatsServer) -> None:
    """A connection that is half open looks like this: everything is sent, nothing comes back."""
    limits = msgspec.structs.replace(QUICK, ping_seconds=0.3)
    async with attacked(nats_server.url, limits) as target, target.raw() as raw:
        raw.write(frame(ASK))
        assert await raw.text() == ANSWER
        assert await raw.closed() == 4002


async def test_a_pong_to_another_ping_is_no_answer(nats_server: NatsServer) -> None:
    limits = msgspec.structs.replace(QUICK, ping_seconds=0.3)
    async with attacked(nats_server.url, limits) as target, target.raw() as raw:
        raw.write(frame(b"guess", PONG))
        assert await raw.closed() == 4002


async def test_the_end_in_mid_frame_is_just_an_end(target: Target) -> None:
    for cut in range(1, 12):
        async with target.raw() as raw:
            raw.write(frame(REQUEST)[:cut])
            await raw.writer.drain()
    await target.witness()


async def test_five_hundred_bytes_at_random_are_no_request(target: Target) -> None:
    for _ in range(20):
        async with target.raw() as raw:
            raw.write(os.urandom(500) + b"\x88")
            raw.writer.write_eof()
            assert await raw.closed() in (1002, 1003, 1006, 1007, 1009, 1000, 1005)


async def test_words_of_nats_in_a_frame_are_words(target: Target) -> None:
    async with target.raw() as raw:
        raw.write(frame("PUB magi.log.good.x 2\r\nhi\r\n"))
        assert json.loads(await raw.text())["code"] == "invalid_json"
    async with Raw.connect(target.port) as raw:
        raw.write(b"PUB magi.log.good.x 2\r\nhi\r\n")
        assert (await raw.answer())[0] in (0, 400)
