import hashlib

from magi.projections.layout import KEYS, LAYOUT, sql

TABLES = {1: "247a588267c1033e"}
"""What each layout's tables are. Changed them? Raise LAYOUT and add a line: tables that exist are not altered."""


def test_other_tables_are_another_layout() -> None:
    assert hashlib.sha256(sql("tables")).hexdigest()[:16] == TABLES[LAYOUT]


def test_every_table_is_compared_by_verify() -> None:
    made = {line.split()[2] for line in sql("tables").decode().splitlines() if line.startswith("CREATE TABLE")}
    assert made == KEYS.keys() | {"positions"}
