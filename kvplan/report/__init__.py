"""What people and scripts see of a plan."""
