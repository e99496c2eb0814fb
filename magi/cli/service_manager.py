"""What a service manager that started us (systemd, `Type=notify`) is told: that we are ready, that we stop."""

import os
import socket
from typing import Literal

import structlog

log = structlog.get_logger(__name__)

State = Literal["READY=1", "STOPPING=1"]


def tell_manager(state: State) -> None:
    """Send it to the socket in NOTIFY_SOCKET, if there is one. A manager that doesn't listen is no reason to stop."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # in Linux's abstract namespace
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto(state.encode(), address)
    except OSError as error:
        log.warning("service_manager_not_told", state=state, error=str(error))
