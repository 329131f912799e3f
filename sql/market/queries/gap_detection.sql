-- Weekdays without a bar of AAPL.
-- Days are those of UTC whatever the session's time zone, and the series begins with the first bar.
WITH existing_data AS (
    SELECT DISTINCT ("timestamp" AT TIME ZONE 'UTC')::date AS data_date
    FROM market_data.ohlcv
    WHERE symbol = 'AAPL'
),
date_series AS (
    SELECT generate_series(min(data_date), current_date, INTERVAL '1 day')::date AS trading_date
    FROM existing_data
)
SELECT trading_date
FROM date_series
LEFT JOIN existing_data ON trading_date = data_date
WHERE data_date IS NULL
  AND extract(dow FROM trading_date) NOT IN (0, 6);
