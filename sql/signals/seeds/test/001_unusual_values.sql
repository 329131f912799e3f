-- What applications tend to get wrong: other scripts, quotes, an empty object, the longest identifiers, no customer yet.
INSERT INTO customers (customer_id, name, email, segment, country, attributes, refreshed_at, created_at)
VALUES
    ('顧客-009', '東京ロボット 🤖', NULL, 'enterprise', 'JP', '{}', '2026-11-20 06:00Z', '2026-10-01 00:00Z'),
    ('cust_''quoted"', 'O''Neil & "Sons"', 'o''neil@example.com', 'smb', 'IE', '{"note": "a \"quoted\" word"}', '2026-11-20 06:00Z', '2026-10-02 00:00Z'),
    (repeat('x', 100), 'Longest identifier', NULL, 'consumer', NULL, '{}', '2026-11-20 06:00Z', '2026-10-03 00:00Z')
ON CONFLICT (customer_id) DO NOTHING;

INSERT INTO signals (id, event_type, customer_id, signal_data, processed_at, created_at)
VALUES
    (md5('test 1')::uuid, 'purchase', '顧客-009', '{"amount": 0, "product": "無料"}', '2026-11-01 00:00', '2026-11-01 00:00'),
    (md5('test 2')::uuid, repeat('t', 50), repeat('x', 100), '{}', '2026-11-01 00:00', '2026-11-01 00:00'),
    (md5('test 3')::uuid, 'inquiry', 'not_in_the_cache', '{"nested": {"list": [1, 2, {"deep": null}]}}', '2026-11-01 00:01', '2026-11-01 00:01')
ON CONFLICT (id) DO NOTHING;
