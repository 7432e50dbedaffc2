"""What `passbook doctor` looks at: each check returns its verdict, or raises what went wrong."""
