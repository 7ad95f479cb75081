"""Whether one release is worse than another, and since when."""
