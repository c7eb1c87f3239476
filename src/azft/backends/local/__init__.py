"""The backend of this machine as a fine-tuning service: child processes, run folders, an embedded MLflow, a loopback scorer."""
