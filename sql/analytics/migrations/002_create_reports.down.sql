DROP VIEW latest_report_runs;
DROP TABLE dashboard_widgets;
DROP TABLE dashboards;
DROP TABLE report_runs;
DROP TABLE report_definitions;
