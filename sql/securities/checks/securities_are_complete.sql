-- An equity or a receipt has a sector; no two active securities of one exchange share a name.
SELECT symbol, name, 'has no sector' AS fault
FROM securities
WHERE security_type IN ('equity', 'adr') AND sector IS NULL
UNION ALL
SELECT string_agg(symbol, ', '), name, 'is listed twice'
FROM securities
WHERE is_active
GROUP BY exchange, name
HAVING count(*) > 1;
