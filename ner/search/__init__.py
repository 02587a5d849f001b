"""Several trainings compared: extra seeds and sweeps."""
