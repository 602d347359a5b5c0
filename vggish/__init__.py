"""VGGish: log-mel front end, network, weights and postprocessing, each usable alone."""
