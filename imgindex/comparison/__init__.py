"""How two pictures relate, seen closely: what of each lies in the other, and where they differ."""
