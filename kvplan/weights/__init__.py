"""Parameters by component, and their bytes by number format."""
