-- The daily bars say what the bars of the day say; days since the last refresh are left out.
SELECT symbol, day, daily.volume, bars.volume AS volume_of_the_bars
FROM market_data.ohlcv_daily AS daily
JOIN (
    SELECT symbol, time_bucket('1 day', "timestamp") AS day, max(high) AS high, min(low) AS low, sum(volume) AS volume
    FROM market_data.ohlcv
    GROUP BY symbol, day
) AS bars USING (symbol, day)
WHERE (daily.high, daily.low, daily.volume) <> (bars.high, bars.low, bars.volume)
  AND day < (SELECT max(day) FROM market_data.ohlcv_daily);
