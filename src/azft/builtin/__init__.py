"""What azft itself offers, through the same hooks as everyone's plugins."""
