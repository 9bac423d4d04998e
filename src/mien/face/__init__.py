"""What is in a face: detection, landmarks, blendshapes, pose, alignment. Knows nothing of diffusion."""
