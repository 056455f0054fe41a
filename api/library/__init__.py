"""Routes and pages of views and their models, and of annotating."""
