-- Each weekday between a symbol's first and last daily bar has a bar.
SELECT symbol, day::date AS missing
FROM (
    SELECT symbol, min("timestamp") AS first_bar_at, max("timestamp") AS last_bar_at
    FROM ohlcv
    WHERE timeframe = '1d'
    GROUP BY symbol
) AS stored
CROSS JOIN LATERAL generate_series(first_bar_at, last_bar_at, INTERVAL '1 day', 'UTC') AS day
WHERE extract(isodow FROM day AT TIME ZONE 'UTC') < 6
  AND NOT EXISTS (
      SELECT FROM ohlcv WHERE ohlcv.symbol = stored.symbol AND ohlcv.timeframe = '1d' AND ohlcv."timestamp" = day
  );
