"""How many public models import: `netloom bench imports`."""
