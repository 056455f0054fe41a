"""Commands about experiments, and the policy that carries them on."""
