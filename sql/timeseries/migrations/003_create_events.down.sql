-- CASCADE takes the aggregates of timescale.yaml with it; they can be made again from the events.
DROP TABLE events.trading_events;
DROP TABLE events.system_events CASCADE;
DROP SCHEMA events;
