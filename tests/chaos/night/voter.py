"""A voter's program of the night, over WebSocket: it passes nine answers of ten, until a file says that it fails all.

MAGI_VOTER_TOKEN=magi_v_… python -m tests.chaos.night.voter URL FILE
"""

import asyncio
import contextlib
import json
import os
import sys
import zlib

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

FAILING = 10
"""One of so many answers fails."""


def _is_there(file: str) -> bool:
    return os.path.exists(file)


async def main(url: str, fails_all: str) -> None:
    headers = {"Authorization": f"Bearer {os.environ['MAGI_VOTER_TOKEN']}"}
    async for socket in connect(url, additional_headers=headers):
        with contextlib.suppress(ConnectionClosed):
            await socket.send(json.dumps({"type": "ready", "capacity": 32}))
            async for frame in socket:
                message = json.loads(frame)
                if message["type"] != "task":
                    continue
                fails = _is_there(fails_all) or zlib.crc32(message["request_id"].encode()) % FAILING == 0
                vote = {"vote": "fail", "reason": "it looks wrong"} if fails else {"vote": "pass"}
                await socket.send(json.dumps({"type": "result", "task_id": message["task_id"], **vote}))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1], sys.argv[2]))
