INSERT INTO customers (customer_id, name, email, segment, country, attributes, refreshed_at, created_at)
VALUES
    ('cust_001', 'Northwind Foods', 'buying@northwind.example.com', 'enterprise', 'US', '{"tier": "gold", "employees": 4200}', '2026-11-20 06:00Z', '2026-01-12 09:00Z'),
    ('cust_002', 'Baltic Timber', 'hello@baltic.example.com', 'smb', 'LT', '{"tier": "silver", "employees": 48}', '2026-11-20 06:00Z', '2026-02-03 10:30Z'),
    ('cust_003', 'Sierra Optics', 'it@sierra.example.com', 'mid_market', 'ES', '{"tier": "silver", "employees": 610}', '2026-11-20 06:00Z', '2026-02-19 15:45Z'),
    ('cust_004', 'Kanto Robotics', 'office@kanto.example.com', 'enterprise', 'JP', '{"tier": "gold", "employees": 9100}', '2026-11-19 06:00Z', '2026-03-08 01:15Z'),
    ('cust_005', 'Maple Books', 'orders@maple.example.com', 'smb', 'CA', '{"tier": "bronze", "employees": 12}', '2026-11-19 06:00Z', '2026-04-21 18:00Z'),
    ('cust_006', 'Hansa Freight', 'sales@hansa.example.com', 'mid_market', 'DE', '{"tier": "silver", "employees": 830}', '2026-11-18 06:00Z', '2026-05-05 08:20Z'),
    ('cust_007', 'Lua Coffee', 'contato@lua.example.com', 'smb', 'BR', '{"tier": "bronze", "employees": 25}', '2026-11-18 06:00Z', '2026-06-14 13:10Z'),
    ('cust_008', 'Robin Parker', 'robin@parker.example.com', 'consumer', 'GB', '{"tier": "bronze"}', '2026-11-17 06:00Z', '2026-07-01 20:05Z')
ON CONFLICT (customer_id) DO NOTHING;
