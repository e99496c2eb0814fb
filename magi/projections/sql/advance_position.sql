-- The compare-and-swap: no row comes back when somebody else has moved the position, or it is another stream's.
UPDATE positions
SET sequence = %(to)s, digest = %(digest)s, updated_at = clock_timestamp()
WHERE projection = %(projection)s AND identity = %(identity)s AND sequence = %(from)s
RETURNING sequence
