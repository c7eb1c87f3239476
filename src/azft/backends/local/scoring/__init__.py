"""The scoring server: one process, one model, loopback only, a key on every request."""
