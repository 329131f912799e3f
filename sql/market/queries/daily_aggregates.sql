-- Daily bars of the last 30 days.
SELECT
    time_bucket('1 day', "timestamp") AS day,
    symbol,
    first(open, "timestamp") AS open,
    max(high) AS high,
    min(low) AS low,
    last(close, "timestamp") AS close,
    sum(volume) AS volume
FROM market_data.ohlcv
WHERE "timestamp" >= NOW() - INTERVAL '30 days'
GROUP BY day, symbol
ORDER BY day DESC, symbol;
