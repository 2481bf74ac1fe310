"""What you do with a trained model."""
