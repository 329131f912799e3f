-- The latest bar of AAPL.
SELECT *
FROM market_data.ohlcv
WHERE symbol = 'AAPL'
ORDER BY "timestamp" DESC
LIMIT 1;
