-- A price lies between bid and ask where both are known.
SELECT symbol, time, bid, price, ask
FROM market_data.stock_prices
WHERE price NOT BETWEEN bid AND ask;
