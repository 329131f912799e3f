-- The metadata of the bar store says what the store holds.
SELECT symbol, timeframe, bar_count, held.bars
FROM ohlcv_metadata
FULL JOIN (
    SELECT symbol, timeframe, count(*) AS bars, min("timestamp") AS first_bar_at, max("timestamp") AS last_bar_at
    FROM ohlcv
    GROUP BY symbol, timeframe
) AS held USING (symbol, timeframe)
WHERE (COALESCE(ohlcv_metadata.bar_count, 0), ohlcv_metadata.first_bar_at, ohlcv_metadata.last_bar_at)
    IS DISTINCT FROM (COALESCE(held.bars, 0), held.first_bar_at, held.last_bar_at);
