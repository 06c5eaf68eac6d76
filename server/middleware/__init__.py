"""What every request passes through: access, limits, headers, the log."""
