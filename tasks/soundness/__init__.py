"""Whether what builds left is still what they wrote: everything is looked at, and nothing changed."""
