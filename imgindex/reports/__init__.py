"""Reports: how much is redundant, and what changed since the last one."""
