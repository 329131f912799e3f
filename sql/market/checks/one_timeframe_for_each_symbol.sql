-- Bars of two timeframes for one symbol and day would be counted twice in the daily bars.
SELECT symbol, date_trunc('day', "timestamp", 'UTC') AS day, array_agg(DISTINCT timeframe) AS timeframes
FROM market_data.ohlcv
GROUP BY symbol, date_trunc('day', "timestamp", 'UTC')
HAVING count(DISTINCT timeframe) > 1;
