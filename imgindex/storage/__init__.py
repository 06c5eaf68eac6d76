"""The database: images, files, embeddings."""
