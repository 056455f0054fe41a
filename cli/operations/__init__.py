"""Commands that run this machine's Stemma, and say how it is."""
