-- The amount of a purchase is a number that is not negative.
SELECT id, signal_data
FROM signals
WHERE event_type = 'purchase'
  AND CASE jsonb_typeof(signal_data -> 'amount') WHEN 'number' THEN (signal_data ->> 'amount')::numeric < 0 ELSE TRUE END;
