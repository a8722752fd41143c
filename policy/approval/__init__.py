"""The question that is put to people: who may answer it, what counts, what time does to it, and how it stands."""
