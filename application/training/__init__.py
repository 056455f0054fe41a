"""Commands about versions, and what follows from them and from reports."""
