"""Bytes to pixels and local features, in a guarded child process."""
