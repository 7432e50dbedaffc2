"""Wiring of the audit projector: settings in, clients built, the runtime runs."""

import sys

from passbook.projection.service import run_projector
from passbook.service import service_settings
from services.audit_projector.projection import AuditProjection

NAME = "audit-projector"

if __name__ == "__main__":
    sys.exit(run_projector(NAME, AuditProjection(), service_settings(NAME)))
