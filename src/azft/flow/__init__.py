"""The steps of the flow, one module each; none imports another."""
