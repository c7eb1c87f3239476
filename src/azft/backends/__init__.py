"""Places to run; each implements the ports and knows nothing of the others."""
