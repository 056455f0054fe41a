"""Commands about how a version's items were learnt."""
