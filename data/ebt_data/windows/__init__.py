"""Episodes as training samples: observation histories, action chunks and resized pictures, in numpy. No torch."""
