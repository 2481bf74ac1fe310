"""Run folders: what is in them, what an experiment is, and how one is trained or resumed."""
