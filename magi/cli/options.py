"""Options that many commands share."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path | None, typer.Option("--data", help="The data directory.", envvar="MAGI_DATA", show_default="./.magi")
]
TlsCa = Annotated[
    str | None,
    typer.Option(help="A file with the CA that the gateway's certificate is signed by.", show_default="the system's"),
]
TlsCert = Annotated[str | None, typer.Option(help="A file with the gateway's certificate, for wss.")]
TlsKey = Annotated[str | None, typer.Option(help="A file with its key.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
