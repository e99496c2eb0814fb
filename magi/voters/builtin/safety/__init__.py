"""What balthasar is made of: one module for each kind of danger, all pure and linear in the length of the answer."""
