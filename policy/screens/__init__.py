"""What people see of an action, in every medium, and how untrusted text is shown."""
