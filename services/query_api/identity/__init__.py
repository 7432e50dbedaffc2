"""Who is asking, and whose an account is."""
