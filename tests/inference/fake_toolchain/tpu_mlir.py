"""Stands in for the compiler's package, which sets up paths when it is imported."""
