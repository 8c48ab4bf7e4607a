"""Who is asking and what they may do: actions, actors, sessions, tokens, the throttle."""
