"""What one does with a learned model."""
