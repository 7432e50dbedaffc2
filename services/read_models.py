"""The read models that there are: what is migrated, checked, listed and rebuilt."""

from typing import Final

from passbook.projection.protocol import Projection
from services.audit_projector.projection import AuditProjection
from services.balance_projector.projection import BalanceProjection

READ_MODELS: Final[tuple[Projection, ...]] = (BalanceProjection(), AuditProjection())
"""One a projector. Another one is added here, and where deploy/runbooks/add-a-projector.md says."""
