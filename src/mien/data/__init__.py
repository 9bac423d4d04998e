"""Pictures in, training examples out."""
