"""The lanes of a channels file."""

from activities.channels.file import Channels, WebhookChannel
from activities.channels.lane import Lane, Sender


def make_lanes(channels: Channels | None) -> dict[str, Lane]:
    """A lane for each channel, by name; none without a file.

    Raises:
        ChannelsError: apprise does not know the URL of one.

    """
    if channels is None:
        return {}
    from activities.channels.people import AppriseSender  # noqa: PLC0415 - apprise is loaded only where it is used
    from activities.channels.webhook import WebhookSender  # noqa: PLC0415 - so is requests

    found = {}
    for name, channel in channels.channels.items():
        sender: Sender
        if isinstance(channel, WebhookChannel):
            sender = WebhookSender(name, channel, channels.source)
        else:
            sender = AppriseSender(name, channel)
        found[name] = Lane(name, sender, channel.timeout_seconds)
    return found
