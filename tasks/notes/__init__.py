"""The notes of a release: the vendor's tables, with our numbers."""
