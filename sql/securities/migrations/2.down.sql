-- CASCADE takes the aggregates of timescale.yaml with it; they can be made again from the trades.
DROP TABLE IF EXISTS trades CASCADE;
