"""Options that many commands share."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path | None, typer.Option("--data", help="The data directory.", envvar="MAGI_DATA", show_default="./.magi")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
