DROP TABLE portfolio_snapshots;
DROP TABLE transactions;
DROP TABLE holdings;
DROP TABLE portfolios;
DROP TABLE benchmarks;
DROP FUNCTION set_updated_at();
