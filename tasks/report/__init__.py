"""The report of a build: tables, charts, pictures, one page."""
