INSERT INTO benchmarks (id, symbol, name, currency, description)
VALUES
    ('be000000-0000-4000-8000-000000000001', 'SPX', 'S&P 500', 'USD', '500 large companies listed in the United States'),
    ('be000000-0000-4000-8000-000000000002', 'NDX', 'Nasdaq-100', 'USD', '100 large companies of the Nasdaq that are no financials'),
    ('be000000-0000-4000-8000-000000000003', 'DJI', 'Dow Jones Industrial Average', 'USD', '30 large companies, weighted by price'),
    ('be000000-0000-4000-8000-000000000004', 'RUT', 'Russell 2000', 'USD', '2000 small companies of the United States'),
    ('be000000-0000-4000-8000-000000000005', 'STOXX', 'STOXX Europe 600', 'EUR', '600 companies of 17 European countries'),
    ('be000000-0000-4000-8000-000000000006', 'N225', 'Nikkei 225', 'JPY', '225 companies of the Tokyo Stock Exchange, weighted by price')
ON CONFLICT (symbol) DO UPDATE
SET name = EXCLUDED.name, currency = EXCLUDED.currency, description = EXCLUDED.description
WHERE (benchmarks.name, benchmarks.currency, benchmarks.description)
    IS DISTINCT FROM (EXCLUDED.name, EXCLUDED.currency, EXCLUDED.description);
