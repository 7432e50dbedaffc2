"""Wiring of the totals projector: settings in, clients built, the runtime runs."""

import sys

from passbook.projection.service import run_projector
from passbook.service import service_settings
from tests.support.totals.projection import TotalsProjection

NAME = "totals-projector"

if __name__ == "__main__":
    sys.exit(run_projector(NAME, TotalsProjection(), service_settings(NAME)))
