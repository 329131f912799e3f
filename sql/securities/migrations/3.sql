-- Description: Add index to trades table
CREATE INDEX IF NOT EXISTS idx_trades_executed_at ON trades (executed_at DESC);
