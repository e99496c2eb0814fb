-- What people filter by; tests/projections/test_plans.py holds each to its question. A rebuild makes them last.
CREATE INDEX IF NOT EXISTS requests_by_time ON requests (received_at);
CREATE INDEX IF NOT EXISTS requests_by_initiator ON requests (initiator_id, received_at);
CREATE INDEX IF NOT EXISTS requests_by_name ON requests (request_id);
CREATE INDEX IF NOT EXISTS requests_by_verdict ON requests (verdict, received_at);
CREATE INDEX IF NOT EXISTS requests_by_strategy ON requests (strategy, received_at);
CREATE INDEX IF NOT EXISTS requests_by_voter ON requests USING gin (panel);
CREATE INDEX IF NOT EXISTS requests_open ON requests (deadline) WHERE verdict IS NULL;
CREATE INDEX IF NOT EXISTS votes_by_time ON votes (voted_at);
CREATE INDEX IF NOT EXISTS votes_by_voter ON votes (voter_id, voted_at);
