"""Stemma beside MLflow, in one sitting on one machine."""
