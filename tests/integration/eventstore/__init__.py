"""The event store on a real PostgreSQL: what only several connections can show."""
