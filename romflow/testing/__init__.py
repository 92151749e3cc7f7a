"""Conformance suites: hold a user's own model, sampler, reductor, exporter or material law to its laws."""

from romflow.testing.exporter import check_exporter
from romflow.testing.material_law import check_law
from romflow.testing.model import check_model
from romflow.testing.reductor import check_reductor
from romflow.testing.report import Check, Report
from romflow.testing.sampler import check_sampler
from romflow.testing.verification import verify

__all__ = ["Check", "Report", "check_exporter", "check_law", "check_model", "check_reductor", "check_sampler",
           "verify"]
