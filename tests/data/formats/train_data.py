"""Examples as they are pasted into scripts."""

import random

random.seed(1)
LABELS = ["PER", "LOC"]
TRAIN_DATA = [
    ("Ilse Brandt left Oslo.", {"entities": [(0, 11, "PER"), (17, 21, "LOC")]}),
    ("Nobody came.", {"entities": []}),
    ("It's Bo's \u00e9t\u00e9.", {"entities": [(5, 7, "PER")]}),
]
