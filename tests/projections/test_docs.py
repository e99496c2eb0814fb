from pathlib import Path

from magi.projections.layout import VIEWS
from tests.projections.view_docs import COLUMNS, tables
from tests.projections.world import World

DOCUMENT = Path(__file__).parents[2] / "docs" / "projections.md"


async def test_every_view_and_column_is_documented_in_the_database_and_in_docs(world: World) -> None:
    await world.projector()
    await world.caught_up()
    rows = await world.rows(COLUMNS)
    assert {row["view"] for row in rows} == set(VIEWS)
    assert all(row["comment"] and row["view_comment"] for row in rows)
    assert tables(rows, VIEWS) in DOCUMENT.read_text()
