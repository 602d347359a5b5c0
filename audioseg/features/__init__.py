"""02: many recordings to TFRecord files, and back."""
