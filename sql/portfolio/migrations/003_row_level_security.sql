-- The application says for whom it works: SET LOCAL app.current_user_id = '…'. Unset, it sees no row.
CREATE FUNCTION current_user_id() RETURNS UUID
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT NULLIF(current_setting('app.current_user_id', true), '')::uuid
$$;

COMMENT ON FUNCTION current_user_id IS 'The user that the application works for: the setting app.current_user_id';

ALTER TABLE benchmarks ENABLE ROW LEVEL SECURITY;
ALTER TABLE portfolios ENABLE ROW LEVEL SECURITY;
ALTER TABLE holdings ENABLE ROW LEVEL SECURITY;
ALTER TABLE transactions ENABLE ROW LEVEL SECURITY;
ALTER TABLE portfolio_snapshots ENABLE ROW LEVEL SECURITY;
ALTER TABLE watchlists ENABLE ROW LEVEL SECURITY;
ALTER TABLE portfolio_goals ENABLE ROW LEVEL SECURITY;
ALTER TABLE allocation_rules ENABLE ROW LEVEL SECURITY;

CREATE POLICY everyone_reads ON benchmarks FOR SELECT TO portfolio_app USING (true);

CREATE POLICY own_rows ON portfolios TO portfolio_app USING (user_id = (SELECT current_user_id()));
CREATE POLICY own_rows ON watchlists TO portfolio_app USING (user_id = (SELECT current_user_id()));

-- The subquery is held to the policy of portfolios, so it names those of the user.
CREATE POLICY own_rows ON holdings TO portfolio_app USING (portfolio_id IN (SELECT id FROM portfolios));
CREATE POLICY own_rows ON transactions TO portfolio_app USING (portfolio_id IN (SELECT id FROM portfolios));
CREATE POLICY own_rows ON portfolio_snapshots TO portfolio_app USING (portfolio_id IN (SELECT id FROM portfolios));
CREATE POLICY own_rows ON portfolio_goals TO portfolio_app USING (portfolio_id IN (SELECT id FROM portfolios));
CREATE POLICY own_rows ON allocation_rules TO portfolio_app USING (portfolio_id IN (SELECT id FROM portfolios));

CREATE POLICY reports_read ON benchmarks FOR SELECT TO portfolio_readonly USING (true);
CREATE POLICY reports_read ON portfolios FOR SELECT TO portfolio_readonly USING (true);
CREATE POLICY reports_read ON holdings FOR SELECT TO portfolio_readonly USING (true);
CREATE POLICY reports_read ON transactions FOR SELECT TO portfolio_readonly USING (true);
CREATE POLICY reports_read ON portfolio_snapshots FOR SELECT TO portfolio_readonly USING (true);
CREATE POLICY reports_read ON watchlists FOR SELECT TO portfolio_readonly USING (true);
CREATE POLICY reports_read ON portfolio_goals FOR SELECT TO portfolio_readonly USING (true);
CREATE POLICY reports_read ON allocation_rules FOR SELECT TO portfolio_readonly USING (true);
