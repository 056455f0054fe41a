"""Commands carried out: load, decide, save; reports taken in; policies that react to events."""
