"""Reports on a database: those that come with Keelson, and each service's own queries and checks."""

from keelson.reports.files import BUILT_IN, CHECK, QUERY, Report, built_in, find, of_service
from keelson.reports.running import ReportError, Rows, run

__all__ = ["BUILT_IN", "CHECK", "QUERY", "Report", "ReportError", "Rows", "built_in", "find", "of_service", "run"]
