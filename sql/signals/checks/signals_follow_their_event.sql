-- A signal that came from an event has its type and its customer, and is not older than it.
SELECT signals.id, signals.event_type, signals.customer_id, signals.processed_at, events.received_at
FROM signals
JOIN events USING (id)
WHERE (signals.event_type, signals.customer_id) <> (events.event_type, events.customer_id)
   OR signals.processed_at AT TIME ZONE 'UTC' < events.received_at;
