"""What azft itself offers, through the same hooks as everyone's plugins."""

from azft.builtin import backends, checks, converters, datasets, log, models, naming, readers, recipes

PLUGINS = (models, datasets, readers, converters, recipes, naming, backends, checks, log)
