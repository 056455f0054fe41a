"""Pure domain logic: events, the states that follow from them, and decisions on commands."""
