-- The latest signals of a customer.
SELECT id, event_type, signal_data, processed_at
FROM signals
WHERE customer_id = 'cust_001'
ORDER BY processed_at DESC
LIMIT 50;
