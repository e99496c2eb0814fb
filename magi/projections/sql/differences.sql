-- Rows of a table that are not what the log says: it is compared with the one of the same name in pg_temp.
SELECT to_jsonb(stored) AS stored, to_jsonb(folded) AS folded
FROM {stored} AS stored
FULL JOIN {folded} AS folded USING ({key})
WHERE stored IS DISTINCT FROM folded
LIMIT %(limit)s
