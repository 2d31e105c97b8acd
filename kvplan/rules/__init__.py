"""Rules on deployment files: each has a stable code, a page that explains it, and the places that decided it."""
