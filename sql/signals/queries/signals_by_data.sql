-- Signals with a value in their data.
-- Containment is what idx_signals_data answers; words inside the values would take a text search index.
SELECT id, event_type, customer_id, signal_data
FROM signals
WHERE signal_data @> '{"product": "Widget A"}';
