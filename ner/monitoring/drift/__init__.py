"""Statistics of drift."""
