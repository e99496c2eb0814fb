-- How far a projection is.
SELECT identity, sequence, digest FROM positions WHERE projection = %(projection)s
