"""A store that was restored to the past, and what is believed when it is brought back."""
