"""To look at and to listen to: pictures and players of arrays and label tracks."""
