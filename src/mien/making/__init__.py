"""What command line and studio share: what is wanted becomes pictures: made, scored, recorded and made again."""
