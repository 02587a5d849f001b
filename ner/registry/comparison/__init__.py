"""Two versions on the same data: which is better, and where."""
