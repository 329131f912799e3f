-- An average price lies between the lowest and the highest.
SELECT symbol, "timestamp", low, vwap, high
FROM market_data.ohlcv
WHERE vwap NOT BETWEEN low AND high;
