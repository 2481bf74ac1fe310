"""A learner alternates running chains and one gradient step."""
