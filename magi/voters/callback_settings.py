"""Where the callbacks of HTTP voters come in. Beside the listener, since the settings are read where nobody listens."""

from typing import Annotated

from msgspec import Meta, Struct

_BASE_URL = "an address such as https://magi.example.org/callbacks, without query and fragment"


class CallbackSettings(Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    """Where the callbacks of HTTP voters are listened for."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """0: any that is free."""
    base_url: Annotated[str, Meta(pattern=r"^(https?://[^\s?#]+)?$", description=_BASE_URL)] = ""
    """Under what voters reach it, when that isn't host and port: behind a proxy. Empty: host and port."""


class CannotTakeCallbacks(Exception):
    """The listener can't be had as it is set."""
