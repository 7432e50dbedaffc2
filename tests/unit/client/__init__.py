"""The client against a broker of its own."""
