"""Commands about trainings and what is taken away from them."""
