"""A model on this machine: loaded, given tokens, scored, asked, compared with another."""
