"""The HTTP server and what a connection and a request may cost."""
