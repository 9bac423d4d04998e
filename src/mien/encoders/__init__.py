"""Networks that turn a face into the vectors that condition, score or train."""
