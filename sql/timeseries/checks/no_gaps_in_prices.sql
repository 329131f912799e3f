-- Each weekday between a symbol's first and last price has a price.
WITH stored AS (
    SELECT DISTINCT symbol, date_trunc('day', time, 'UTC') AS day
    FROM market_data.stock_prices
)
SELECT symbol, (day AT TIME ZONE 'UTC')::date AS missing
FROM (SELECT symbol, min(day) AS first_day, max(day) AS last_day FROM stored GROUP BY symbol) AS span
CROSS JOIN LATERAL generate_series(first_day, last_day, INTERVAL '1 day', 'UTC') AS day
LEFT JOIN stored USING (symbol, day)
WHERE stored.day IS NULL
  AND extract(isodow FROM day AT TIME ZONE 'UTC') < 6;
