"""A stream of whose file one byte was changed."""

import os

import msgspec

from magi.eventstore.bus import Bus
from tests.eventstore.logs import api, new_name
from tests.servers import NatsServer

MESSAGES = 20
"""Of 900 kB each: two full blocks, which nats-server compresses, and the one that is being written."""


async def with_a_broken_block(server: NatsServer, prefix: str) -> str:
    """The name of a stream whose first block can't be read. The server is started anew."""
    bus = await Bus.connect(server.url, name="test")
    name = new_name("BROKEN")
    config = {
        "name": name,
        "subjects": [f"{prefix}>"],
        "storage": "file",
        "discard": "new",
        "compression": "s2",
        "allow_direct": True,
    }
    await api(bus, f"STREAM.CREATE.{name}", msgspec.json.encode(config))
    for number in range(MESSAGES):
        await bus.store(f"{prefix}agent.{number}", os.urandom(450_000).hex().encode())
    await bus.close()
    server.stop()
    (block,) = server.directory.glob(f"**/{name}/msgs/1.blk")
    data = bytearray(block.read_bytes())
    data[len(data) // 2] ^= 1
    block.write_bytes(data)
    server.start()
    return name
