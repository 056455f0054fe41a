"""The feed of all events, as it is followed over HTTP."""
