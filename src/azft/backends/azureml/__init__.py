"""Azure Machine Learning, through the real SDK."""
