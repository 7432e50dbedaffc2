"""The program, with the lines added to it that the runbook page tells to add."""

import sys

from passbook import migrations
from passbook.messaging import topics

migrations.ROLES += ("passbook_totals_projector",)  # type: ignore[assignment, misc]
topics.PROJECTIONS += ("totals",)  # type: ignore[assignment, misc]

from services import read_models  # noqa: E402 - what it imports has to find the lines above
from tests.support.totals.projection import TotalsProjection  # noqa: E402

read_models.READ_MODELS += (TotalsProjection(),)  # type: ignore[misc]

from passbook.cli.app import run  # noqa: E402

if __name__ == "__main__":
    sys.exit(run())
