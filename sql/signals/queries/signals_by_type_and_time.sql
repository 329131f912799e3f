-- Purchases since a day.
SELECT id, customer_id, signal_data, processed_at
FROM signals
WHERE event_type = 'purchase'
  AND processed_at >= TIMESTAMP '2026-11-01'
ORDER BY processed_at DESC;
