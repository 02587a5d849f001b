"""Operation: health, backup, restore."""
