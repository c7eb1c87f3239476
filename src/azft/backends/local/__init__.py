"""The backend of this machine: child processes, run folders, an embedded MLflow, a loopback scorer."""
