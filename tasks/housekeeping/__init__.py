"""Cleaning: what nothing reaches any more is found, told, and removed."""
