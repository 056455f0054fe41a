"""Routes and pages of projects, images, imports and exports."""
