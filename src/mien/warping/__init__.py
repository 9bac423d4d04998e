"""Another expression for a photographed face: move what the photo has, draw what it lacks."""
