"""A WebSocket whose frames go out together: websockets writes each to the socket on its own, and in a busy gateway that
is the largest part of its time."""

from collections.abc import Iterable

from websockets.asyncio.server import ServerConnection


class Connection(ServerConnection):
    """A `ServerConnection` with `send_texts`. One writer at a time. It relies on private parts of the version of
    websockets that is pinned."""

    async def send_texts(self, frames: Iterable[bytes]) -> None:
        """Send text frames, UTF-8 each, by one write, and wait until the client takes them. Raises ConnectionClosed."""
        async with self.send_context():
            for frame in frames:
                self.protocol.send_text(frame)

    def send_data(self) -> None:
        """Write what the protocol has to send. An empty part, which stands for the end, is left to websockets."""
        waiting = self.protocol.writes
        if len(waiting) > 1 and all(waiting):
            self.protocol.writes = [b"".join(waiting)]
        super().send_data()
