"""What `PassbookClient` and the fake for users' tests have in common, tested over both."""
