-- From here on the owner is held to policies too. What runs as the owner in the application's session, such as a view or a
-- function with SECURITY DEFINER, gets the rows of the user that the application works for; migrations, seeds, checks and
-- whoever else is a member of the owner's role get all of them.

ALTER TABLE portfolios FORCE ROW LEVEL SECURITY;
ALTER TABLE watchlists FORCE ROW LEVEL SECURITY;
ALTER TABLE holdings FORCE ROW LEVEL SECURITY;
ALTER TABLE transactions FORCE ROW LEVEL SECURITY;
ALTER TABLE portfolio_snapshots FORCE ROW LEVEL SECURITY;
ALTER TABLE portfolio_goals FORCE ROW LEVEL SECURITY;
ALTER TABLE allocation_rules FORCE ROW LEVEL SECURITY;
ALTER TABLE benchmarks FORCE ROW LEVEL SECURITY;

ALTER POLICY own_rows ON portfolios TO portfolio_app, portfolio_owner;
ALTER POLICY own_rows ON watchlists TO portfolio_app, portfolio_owner;
ALTER POLICY own_rows ON holdings TO portfolio_app, portfolio_owner;
ALTER POLICY own_rows ON transactions TO portfolio_app, portfolio_owner;
ALTER POLICY own_rows ON portfolio_snapshots TO portfolio_app, portfolio_owner;
ALTER POLICY own_rows ON portfolio_goals TO portfolio_app, portfolio_owner;
ALTER POLICY own_rows ON allocation_rules TO portfolio_app, portfolio_owner;
ALTER POLICY everyone_reads ON benchmarks TO portfolio_app, portfolio_owner;

CREATE POLICY upkeep ON portfolios TO portfolio_owner USING ((SELECT pg_has_role(session_user, 'portfolio_owner', 'MEMBER')));
CREATE POLICY upkeep ON watchlists TO portfolio_owner USING ((SELECT pg_has_role(session_user, 'portfolio_owner', 'MEMBER')));
CREATE POLICY upkeep ON holdings TO portfolio_owner USING ((SELECT pg_has_role(session_user, 'portfolio_owner', 'MEMBER')));
CREATE POLICY upkeep ON transactions TO portfolio_owner USING ((SELECT pg_has_role(session_user, 'portfolio_owner', 'MEMBER')));
CREATE POLICY upkeep ON portfolio_snapshots TO portfolio_owner USING ((SELECT pg_has_role(session_user, 'portfolio_owner', 'MEMBER')));
CREATE POLICY upkeep ON portfolio_goals TO portfolio_owner USING ((SELECT pg_has_role(session_user, 'portfolio_owner', 'MEMBER')));
CREATE POLICY upkeep ON allocation_rules TO portfolio_owner USING ((SELECT pg_has_role(session_user, 'portfolio_owner', 'MEMBER')));
CREATE POLICY upkeep ON benchmarks TO portfolio_owner USING ((SELECT pg_has_role(session_user, 'portfolio_owner', 'MEMBER')));
