"""What a catalog is made of: entities, edges, objectives, and the texts that they are read from."""
