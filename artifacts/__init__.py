"""Digests, the content store, the bmodel reader, the release record and the registry layout.

Device side: Python 3.8 or newer with pydantic only; imports none of the project's other packages.
"""
