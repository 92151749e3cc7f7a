"""The report: one self-contained HTML page about one run."""

from romflow.report.data import ErrorTable, EvolutionComparison, FieldComparison, ReportData
from romflow.report.page import write_report

__all__ = ["ErrorTable", "EvolutionComparison", "FieldComparison", "ReportData", "write_report"]
