"""Wiring of the balance projector: settings in, clients built, the runtime runs."""

import sys

from passbook.config import Settings
from passbook.projection.service import run_projector
from services.balance_projector.projection import BalanceProjection

if __name__ == "__main__":
    sys.exit(run_projector("balance-projector", BalanceProjection(), Settings()))
