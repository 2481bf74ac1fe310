"""Models: what a user holds. Each is one class, which samples, is saved and is loaded."""
