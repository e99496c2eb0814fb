-- Bind a projection to the stream that it is made from, once.
INSERT INTO positions (projection, identity, sequence, digest, updated_at)
VALUES (%(projection)s, %(identity)s, 0, '', now())
ON CONFLICT DO NOTHING
