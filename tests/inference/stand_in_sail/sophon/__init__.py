"""A stand-in for the package of the vendor's SDK."""
