"""How pages are rendered, now and as of a past moment."""
