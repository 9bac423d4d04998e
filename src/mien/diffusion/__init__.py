"""Pure maths of diffusion: schedules, estimators, losses. Knows of a network only `NoisePredictor`."""
