"""Pure decisions: what can happen (events), what is known (state) and what may be decided."""
