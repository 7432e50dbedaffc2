"""What each login may do, proved by logging in."""
