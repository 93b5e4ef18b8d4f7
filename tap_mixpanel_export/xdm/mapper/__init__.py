"""The Singer mapper: events in, ExperienceEvents out."""
