"""A learner alternates between running chains and taking one gradient step."""
