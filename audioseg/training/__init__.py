"""03: what a network sees, what training stores, and all runs side by side."""
