"""What runs inside the child process: the five stages of a fine-tuning job."""
