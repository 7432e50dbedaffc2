"""The audit projector on a real database."""
