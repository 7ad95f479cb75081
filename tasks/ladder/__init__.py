"""The loss ladder as a reader sees it: rows of what was measured, with what each loses. Pure."""
