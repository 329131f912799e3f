-- How many bars there are, and of which days.
SELECT
    count(*) AS records,
    min("timestamp")::date AS "from",
    max("timestamp")::date AS "to"
FROM market_data.ohlcv;
