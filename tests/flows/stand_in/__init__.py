"""A compiler environment that does nothing in no time, and what a build needs to be tiny."""
