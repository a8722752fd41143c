"""Mail and chat, by apprise: one library for all of them, with the URL that an operator wrote.

- The address is encoded into the URL, so that it names an inbox or a room and nothing else.
- No redirect is followed, and no socket waits for longer than the channel's timeout.
- The deduplication key goes along as a header where the service takes some, and in the text always.
- What apprise logs of a failure is without secrets; here it only says whether it was taken.
"""

from urllib.parse import quote

import apprise
from pydantic import SecretStr

from activities.channels.file import ADDRESS, AppriseChannel, ChannelsError
from activities.channels.lane import ChannelError, Message

# Services that send along headers of ours, and the one that says it.
_HEADERS = {
    **dict.fromkeys(("mailto", "mailtos"), "X-Countersign-Notice"),
    **dict.fromkeys(("json", "jsons", "form", "forms"), "Idempotency-Key"),
}
_ASSET = apprise.AppriseAsset(app_id="countersign", app_desc="countersign", http_redirects=False, async_mode=False)
_SAMPLE = "somebody@example.org"


class AppriseSender:
    """Sends by one service.

    Args:
        name: of the channel.
        channel: its URL and format.

    Raises:
        ChannelsError: apprise does not know such a URL.

    """

    def __init__(self, name: str, channel: AppriseChannel) -> None:
        self._name = name
        self._channel = channel
        if not apprise.Apprise(asset=_ASSET).add(self._url(_SAMPLE, "sample")):
            raise ChannelsError(f"channel {name}: apprise does not understand its url")

    def send(self, message: Message) -> None:
        """Send one message.

        Raises:
            ChannelError: it was not taken.
        """
        service = apprise.Apprise(asset=_ASSET)
        if not service.add(self._url(message.address, message.key)):
            raise ChannelError(f"{self._name} does not understand the address")
        as_markdown = self._channel.format == "markdown"
        taken = service.notify(
            body=message.markdown if as_markdown else message.text,
            title=message.title,
            notify_type=apprise.NotifyType.WARNING if message.urgent else apprise.NotifyType.INFO,
            body_format=apprise.NotifyFormat.MARKDOWN if as_markdown else apprise.NotifyFormat.TEXT,
        )
        if not taken:
            raise ChannelError(f"{self._name} did not take it: the worker's log says more")

    def _url(self, address: str, key: str) -> str:
        template: SecretStr = self._channel.url
        url = template.get_secret_value().replace(ADDRESS, quote(address, safe=""))
        seconds = self._channel.timeout_seconds
        options = [f"cto={seconds}", f"rto={seconds}", f"format={self._channel.format}"]
        if header := _HEADERS.get(url.partition("://")[0]):
            options.append(f"+{header}={quote(key, safe='')}")
        return url + ("&" if "?" in url else "?") + "&".join(options)
