"""Imports, exports, and the deletion of erased bytes."""
