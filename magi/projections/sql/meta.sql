-- What is known about the versions of the tables. Run under the catalogue's lock: IF NOT EXISTS alone can collide.
CREATE SCHEMA IF NOT EXISTS magi;
CREATE SCHEMA IF NOT EXISTS magi_meta;

CREATE TABLE IF NOT EXISTS magi_meta.versions (
    version integer PRIMARY KEY CHECK (version > 0),
    state text NOT NULL CHECK (state IN ('building', 'live', 'retired')),
    layout integer NOT NULL,
    content boolean NOT NULL,
    views text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    switched_at timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS one_live_version ON magi_meta.versions (state) WHERE state = 'live';

CREATE TABLE IF NOT EXISTS magi_meta.halts (
    version integer NOT NULL REFERENCES magi_meta.versions ON DELETE CASCADE,
    projection text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('event', 'hole', 'stream', 'layout')),
    identity text NOT NULL,
    sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    subject text NOT NULL,
    event text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (version, projection)
);

-- Of a stream, not of a version: what was passed over once is passed over by a rebuild too, if it still can't be applied.
CREATE TABLE IF NOT EXISTS magi_meta.skips (
    identity text NOT NULL,
    sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    projection text NOT NULL,
    subject text NOT NULL,
    reason text NOT NULL,
    by text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (identity, sequence)
);
