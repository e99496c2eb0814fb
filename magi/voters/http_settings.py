"""What a voter of the kind `http` is registered with, and where its secrets are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from magi.voters.kind_settings import BadSettings
from magi.webhooks.addresses import PUBLIC, WITH_PRIVATE, AddressRefused, Reach, checked_url
from magi.webhooks.signing import BadSecret, Secret


class HttpSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a voter of the kind `http` is registered with."""

    url: Annotated[str, Meta(max_length=2048)]
    """Where tasks are posted, http or https."""
    allow_private: bool = False
    """Whether addresses of this machine and of private networks may be called; link-local ones never are."""
    secret_file: str = ""
    """The file with its secret, ``whsec_…``; several, one a line, while one replaces another."""
    secret_variable: Annotated[str, Meta(pattern=r"\A([A-Za-z_][A-Za-z0-9_]*)?\Z")] = ""
    """The environment variable with its secret, instead of the file; several with spaces between them."""
    timeout_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 30.0
    """For one try; the task's own deadline may be sooner. A voter that takes longer answers 202 and calls back."""

    def __post_init__(self) -> None:
        try:
            checked_url(self.url, self.reach)
        except (ValueError, AddressRefused) as error:
            raise ValueError(f"url: {error}") from None
        if bool(self.secret_file) == bool(self.secret_variable):
            raise ValueError("secret_file or secret_variable is needed, one of them")
        if self.secret_variable.startswith("MAGI_"):
            raise ValueError("secret_variable: names with MAGI_ are settings")

    @property
    def reach(self) -> Reach:
        """The kinds of addresses that may be called."""
        return WITH_PRIVATE if self.allow_private else PUBLIC


def read_secrets(settings: HttpSettings, environment: Mapping[str, str]) -> tuple[Secret, ...]:
    """The voter's secrets, from its file or variable. Raises BadSettings, which doesn't quote them."""
    if settings.secret_file:
        where = f"secret_file {settings.secret_file}"
        try:
            text = Path(settings.secret_file).read_text("ascii")
        except OSError as error:
            raise BadSettings(f"settings: {where}: can't be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise BadSettings(f"settings: {where}: not text") from None
    else:
        where = f"secret_variable {settings.secret_variable}"
        text = environment.get(settings.secret_variable, "")
    try:
        secrets = tuple(Secret(word) for word in text.split())
    except BadSecret as error:
        raise BadSettings(f"settings: {where}: {error}") from None
    if not secrets:
        raise BadSettings(f"settings: {where}: there is no secret in it")
    return secrets
