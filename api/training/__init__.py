"""Routes and pages of versions, their forms and the workers."""
