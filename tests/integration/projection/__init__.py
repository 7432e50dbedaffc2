"""The projection runtime and both projectors on real servers, in the test's own process."""
