"""What every request passes: access, limits, headers, the log."""
