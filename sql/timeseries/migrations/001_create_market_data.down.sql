-- CASCADE takes the aggregates of timescale.yaml with it; they can be made again from the prices.
DROP TABLE market_data.currency_rates;
DROP TABLE market_data.market_indices;
DROP TABLE market_data.stock_prices CASCADE;
DROP SCHEMA market_data;
