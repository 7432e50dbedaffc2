"""Wiring of the audit projector: settings in, clients built, the runtime runs."""

import sys

from passbook.config import Settings
from passbook.projection.service import run_projector
from services.audit_projector.projection import AuditProjection

if __name__ == "__main__":
    sys.exit(run_projector("audit-projector", AuditProjection(), Settings()))
