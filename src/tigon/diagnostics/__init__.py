"""Diagnosis of models: statistics of chains, probes that run them, and rules that judge them."""
