"""One file for a machine without a network: what goes in, how it is written, and how it is read again."""
