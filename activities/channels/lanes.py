"""The lanes of a channels file."""

from activities.channels.file import Channels, WebhookChannel
from activities.channels.lane import Lane, Sender
from activities.channels.people import AppriseSender
from activities.channels.webhook import WebhookSender


def make_lanes(channels: Channels | None) -> dict[str, Lane]:
    """A lane for each channel, by name; none without a file.

    Raises:
        ChannelsError: apprise does not know the URL of one.

    """
    found = {}
    for name, channel in (channels.channels if channels else {}).items():
        sender: Sender
        if isinstance(channel, WebhookChannel):
            assert channels is not None
            sender = WebhookSender(name, channel, channels.source)
        else:
            sender = AppriseSender(name, channel)
        found[name] = Lane(name, sender, channel.timeout_seconds)
    return found
