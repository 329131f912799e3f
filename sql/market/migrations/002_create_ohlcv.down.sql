-- CASCADE takes the aggregates of timescale.yaml with it; they can be made again from the bars.
DROP TABLE market_data.ohlcv CASCADE;
