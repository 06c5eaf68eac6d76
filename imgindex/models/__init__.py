"""Pictures to vectors: the models, their weights, and where these come from."""
