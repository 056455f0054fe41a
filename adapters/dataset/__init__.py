"""Imports, exports, and the deletion of erased images."""
