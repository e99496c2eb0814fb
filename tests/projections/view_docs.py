"""The views' documentation: as the database says it, and as docs/projections.md does."""

from typing import Any

COLUMNS = """
SELECT c.relname AS view, a.attnum AS number, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
       col_description(c.oid, a.attnum) AS comment, obj_description(c.oid) AS view_comment
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE n.nspname = 'magi' AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


def tables(rows: list[dict[str, Any]], views: tuple[str, ...]) -> str:
    """The documentation of `views` as Markdown, from what COLUMNS returned."""
    parts = []
    for view in views:
        columns = [row for row in rows if row["view"] == view]
        lines = [f"## `magi.{view}`", "", columns[0]["view_comment"], "", "| column | type | |", "|---|---|---|"]
        lines += [f"| `{row['name']}` | {row['type']} | {row['comment']} |" for row in columns]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
