DROP TABLE allocation_rules;
DROP TABLE portfolio_goals;
DROP TABLE watchlists;
