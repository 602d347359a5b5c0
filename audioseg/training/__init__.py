"""03: what a network is shown, what training leaves, and all runs side by side."""
