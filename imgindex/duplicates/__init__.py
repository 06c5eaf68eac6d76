"""Which files show the same picture: candidates, alignment, verification, grouping, decisions."""
