"""A device in this machine whose package is a stand-in, and a release for it."""

from tests.tasks.devices.support import found, made

__all__ = ["found", "made"]
