"""What runs on one machine, without its servers."""
