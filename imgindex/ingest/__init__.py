"""How pictures come into an index: from folders and from uploads."""
