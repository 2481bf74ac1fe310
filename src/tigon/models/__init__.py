"""Models: what a user holds. Each is one class that can sample, be saved and be loaded."""
