"""What a policy document is made of: matches, conditions, calendars, limits, exceptions, and their composition."""
