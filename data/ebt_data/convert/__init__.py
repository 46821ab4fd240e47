"""Episodes in the formats of other tools, one file a format. Nothing else may know those layouts."""
