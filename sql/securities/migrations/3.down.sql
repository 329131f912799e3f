DROP INDEX IF EXISTS idx_trades_executed_at;
