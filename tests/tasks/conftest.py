"""Steps under a real Prefect server."""

from tests.prefect_server import prefect_records, prefect_server

__all__ = ["prefect_records", "prefect_server"]
