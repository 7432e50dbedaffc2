"""The log as Server-Sent Events: read once, sent to many, resumed anywhere."""
