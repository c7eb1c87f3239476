"""The five stages of a training by azft's engine or a script, on whatever machine."""
