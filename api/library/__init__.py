"""Routes and pages of views, their models, and annotation."""
