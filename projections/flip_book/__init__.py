"""The read model of the epochs whose items were recorded."""
