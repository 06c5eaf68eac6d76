"""What stays holds what goes: which files of a group stay, and why."""
