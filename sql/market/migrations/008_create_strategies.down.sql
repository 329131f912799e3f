DROP TABLE strategies.strategy_signals;
DROP TABLE strategies.backtests;
DROP TABLE strategies.strategies;
