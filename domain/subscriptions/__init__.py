"""Events as others are told them, and the webhooks that tell them."""
