"""What happens, as verbs on one screen."""
