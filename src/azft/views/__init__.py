"""How a value looks: it describes itself once, and is drawn as text, as HTML, or given as plain data."""
