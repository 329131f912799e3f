-- The mean of the last twenty daily closes, from the first day that has twenty.
INSERT INTO derived.indicators (symbol, indicator, parameters, "timestamp", value, created_at)
SELECT symbol, 'sma', '{"period": 20}', day, round(mean, 8), day + INTERVAL '21 hours'
FROM (
    SELECT
        symbol,
        date_trunc('day', "timestamp", 'UTC') AS day,
        avg(close) OVER twenty AS mean,
        count(*) OVER twenty AS days
    FROM market_data.ohlcv
    WHERE extract(hour FROM "timestamp" AT TIME ZONE 'UTC') = 20
    WINDOW twenty AS (PARTITION BY symbol ORDER BY "timestamp" ROWS 19 PRECEDING)
) AS averaged
WHERE days = 20
ON CONFLICT (symbol, indicator, parameters, "timestamp") DO NOTHING;
