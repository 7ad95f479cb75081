"""Hostile input by kinds: few of each with every `make test`, many with `make reliability ONLY=hostile`."""
