"""For other people's code: publish commands, await outcomes."""
