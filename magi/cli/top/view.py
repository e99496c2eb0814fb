"""What of a frame is shown, and how: changed by keys. Pure."""

import msgspec
from msgspec import Struct

from magi.cli.top.draw_voters import ORDERS

VIEWS = ("overview", "requests", "voters", "backlog", "parts", "alerts")
"""In the order of the keys 1 to 6."""


class View(Struct, frozen=True):
    name: str = "overview"
    order: str = ORDERS[0]
    """Of the voters."""
    first: int = 0
    """The first row that is shown, where there are more than fit."""
    paused: bool = False
    helps: bool = False
    """Whether the keys are explained instead."""


def pressed(view: View, key: str, page: int) -> View:
    """The view after a key, by its name in `keys`; `page` is how many rows a screen has. Other keys change nothing."""
    if view.helps:
        return msgspec.structs.replace(view, helps=False)
    change = msgspec.structs.replace
    match key:
        case "tab" | "right":
            return change(view, name=_step(VIEWS, view.name, 1), first=0)
        case "backtab" | "left":
            return change(view, name=_step(VIEWS, view.name, -1), first=0)
        case "1" | "2" | "3" | "4" | "5" | "6":
            return change(view, name=VIEWS[int(key) - 1], first=0)
        case "escape":
            return change(view, name=VIEWS[0], first=0)
        case "s":
            return change(view, order=_step(ORDERS, view.order, 1), first=0)
        case "S":
            return change(view, order=_step(ORDERS, view.order, -1), first=0)
        case "down" | "j":
            return change(view, first=view.first + 1)
        case "up" | "k":
            return change(view, first=max(0, view.first - 1))
        case "pagedown" | " ":
            return change(view, first=view.first + page)
        case "pageup":
            return change(view, first=max(0, view.first - page))
        case "home" | "g":
            return change(view, first=0)
        case "p":
            return change(view, paused=not view.paused)
        case "?" | "h":
            return change(view, helps=True)
        case _:
            return view


def _step(names: tuple[str, ...], name: str, by: int) -> str:
    return names[(names.index(name) + by) % len(names)]
