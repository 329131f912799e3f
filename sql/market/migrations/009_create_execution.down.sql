DROP VIEW execution.positions;
DROP TABLE execution.fills;
DROP TABLE execution.orders;
