"""A client for servers that speak the OCI distribution protocol (distribution-spec 1.1)."""
