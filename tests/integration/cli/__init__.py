"""The verbs against real servers, as programs."""
