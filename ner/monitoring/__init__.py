"""What is kept of the texts that a model version has read, and how it drifts."""
