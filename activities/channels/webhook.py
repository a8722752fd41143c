"""CloudEvents for platforms, signed.

- An event is one JSON object in structured mode (CloudEvents 1.0.2, HTTP protocol binding 1.0.2, section 3.2). Its `id`
  is the deduplication key, which also goes along as `webhook-id` and as `Idempotency-Key`.
- It is signed by Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`, so that a platform knows who sent it,
  when, and that nothing was changed. What is sent again has the same id and a fresh timestamp.
- The host is that of the channels file: no redirect is followed, no proxy of the environment is used. Any 2xx is a yes.
  The body of the answer is not read.
"""

import json

import requests

from activities.channels.file import WebhookChannel
from activities.channels.lane import ChannelError, Message
from activities.standard_webhooks import signed
from policy.base import instant_text

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
_CONNECT_SECONDS = 5.0
_OK = range(200, 300)


class WebhookSender:
    """Sends to one endpoint.

    Args:
        name: of the channel.
        channel: its address and secret.
        source: what the events name as theirs, a URI reference.

    """

    def __init__(self, name: str, channel: WebhookChannel, source: str) -> None:
        self._name = name
        self._channel = channel
        self._source = source

    def send(self, message: Message) -> None:
        """Send one event.

        Raises:
            ChannelError: it was not taken.
        """
        body = event(message, self._source)
        headers = {"content-type": CONTENT_TYPE, "idempotency-key": message.key, "user-agent": "countersign"}
        headers |= signed(self._channel.secret, message.key, message.at, body)
        timeout = (_CONNECT_SECONDS, self._channel.timeout_seconds)
        with requests.Session() as session:
            session.trust_env = False
            url = self._channel.url.get_secret_value()
            try:
                answer = session.post(
                    url, data=body, headers=headers, timeout=timeout, allow_redirects=False, stream=True
                )
            except requests.RequestException as error:
                raise ChannelError(f"{self._name} cannot be asked: {type(error).__name__}") from None
            answer.close()
        if answer.status_code not in _OK:
            raise ChannelError(f"{self._name} answered with status {answer.status_code}")


def event(message: Message, source: str) -> bytes:
    """The bytes of a CloudEvent in structured mode."""
    value = {
        "specversion": "1.0",
        "id": message.key,
        "source": source,
        "type": f"countersign.notice.{message.kind}",
        "time": instant_text(message.happened_at),
        "datacontenttype": "application/json",
        **({"subject": message.subject} if message.subject else {}),
        "data": message.event,
    }
    return json.dumps(value, separators=(",", ":")).encode()
