"""The commands of ``python -m inference``, a module each.

A module has ``HELP`` (one line), ``configure`` (its arguments) and ``run``. What is heavy, such as OpenCV and pydantic,
is imported inside ``run``: help and usage errors need neither, and ``doctor`` has to work where they are missing.
"""
