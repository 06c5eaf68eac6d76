"""Projections of embeddings, and the nearest among them."""
