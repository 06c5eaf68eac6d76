"""Themes: k-means, the choice of k, and what lives on from run to run."""
