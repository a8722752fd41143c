"""The channels by which people and platforms are told: mail and chat by apprise, signed CloudEvents by webhook."""
