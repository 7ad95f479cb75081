"""Bytes and results on their way between machines that build together."""
