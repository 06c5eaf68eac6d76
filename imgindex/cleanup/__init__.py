"""Putting redundant files away, written down before it is done, and taking it back."""
