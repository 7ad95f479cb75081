"""A device that a release is validated on: the way to it, what is copied there, and what it reports."""
