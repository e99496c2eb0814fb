-- The latest requests first. A filter that is null is folded away: the parameters are known when this is planned.
SELECT *
FROM magi.requests
WHERE (%(since)s::timestamptz IS NULL OR received_at >= %(since)s::timestamptz)
  AND (%(until)s::timestamptz IS NULL OR received_at < %(until)s::timestamptz)
  AND (%(initiator)s::text IS NULL OR initiator_id = %(initiator)s::text)
  AND (%(voter)s::text IS NULL OR panel @> ARRAY[%(voter)s::text])
  AND (%(verdict)s::text IS NULL OR verdict = %(verdict)s::text)
  AND (%(open)s::boolean IS NULL OR verdict IS NULL)
  AND (%(strategy)s::text IS NULL OR strategy = %(strategy)s::text)
ORDER BY received_at DESC, received_seq DESC
LIMIT %(limit)s
