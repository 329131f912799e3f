INSERT INTO currencies (code, name, minor_units)
VALUES
    ('AUD', 'Australian dollar', 2),
    ('CAD', 'Canadian dollar', 2),
    ('CHF', 'Swiss franc', 2),
    ('CNY', 'Renminbi', 2),
    ('EUR', 'Euro', 2),
    ('GBP', 'Pound sterling', 2),
    ('HKD', 'Hong Kong dollar', 2),
    ('INR', 'Indian rupee', 2),
    ('JPY', 'Yen', 0),
    ('KWD', 'Kuwaiti dinar', 3),
    ('SEK', 'Swedish krona', 2),
    ('SGD', 'Singapore dollar', 2),
    ('USD', 'United States dollar', 2)
ON CONFLICT (code) DO UPDATE
SET name = EXCLUDED.name, minor_units = EXCLUDED.minor_units
WHERE (currencies.name, currencies.minor_units) IS DISTINCT FROM (EXCLUDED.name, EXCLUDED.minor_units);

INSERT INTO plans (id, code, name, monthly_price, currency, max_portfolios)
VALUES
    ('91a00000-0000-4000-8000-000000000001', 'free', 'Free', 0, 'USD', 2),
    ('91a00000-0000-4000-8000-000000000002', 'plus', 'Plus', 9, 'USD', 10),
    ('91a00000-0000-4000-8000-000000000003', 'team', 'Team', 49, 'USD', NULL)
ON CONFLICT (code) DO UPDATE
SET name = EXCLUDED.name, monthly_price = EXCLUDED.monthly_price, currency = EXCLUDED.currency, max_portfolios = EXCLUDED.max_portfolios
WHERE (plans.name, plans.monthly_price, plans.currency, plans.max_portfolios)
    IS DISTINCT FROM (EXCLUDED.name, EXCLUDED.monthly_price, EXCLUDED.currency, EXCLUDED.max_portfolios);
