"""Wiring of the balance projector: settings in, clients built, the runtime runs."""

import sys

from passbook.projection.service import run_projector
from passbook.service import service_settings
from services.balance_projector.projection import BalanceProjection

NAME = "balance-projector"

if __name__ == "__main__":
    sys.exit(run_projector(NAME, BalanceProjection(), service_settings(NAME)))
