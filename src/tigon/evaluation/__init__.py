"""What can be measured of chains and models."""
