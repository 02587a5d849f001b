"""Operation: health, backup, restore, retention."""
