"""Where rows come from: files of every usual kind, whole or in pieces, on this machine or on the hub."""
