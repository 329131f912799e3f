-- An index value's previous close is the value before it.
SELECT symbol, time, previous_close, before
FROM (
    SELECT symbol, time, previous_close, lag(value) OVER (PARTITION BY symbol ORDER BY time) AS before
    FROM market_data.market_indices
) AS ordered
WHERE previous_close <> before;
