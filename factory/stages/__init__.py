"""What is trained: parameters, and a step from a batch to a loss."""
