"""RemoteMonitor: each epoch's logs sent to a web server."""

from __future__ import annotations

import json
import warnings

from kerasmirror._export import export
from kerasmirror.callbacks.callback import Callback

_SECONDS_WITHOUT_AN_ANSWER = 10


@export("callbacks.RemoteMonitor")
class RemoteMonitor(Callback):
    """Posts {"epoch": ..., and the logs} to `root + path` after each epoch.

    As the JSON text in the field `field` of a form, or, with `send_as_json`, as the whole body.
    `headers` are added. A server that does not answer gives a warning; training goes on.
    Source: Keras 3.15 `keras.callbacks.RemoteMonitor`.
    """

    def __init__(
        self,
        root="http://localhost:9000",
        path="/publish/epoch/end/",
        field="data",
        headers=None,
        send_as_json=False,
    ):
        super().__init__()
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json

    def on_epoch_end(self, epoch, logs=None):
        data = {"epoch": epoch, **{name: _plain(v) for name, v in (logs or {}).items()}}
        url, headers = self.root + self.path, self.headers
        # An HTTP client takes a tenth of a second to load, and only this callback needs it.
        try:
            import requests
        except ImportError:
            requests = None
        try:
            if requests is None:
                self._post_by_urllib(url, json.dumps(data))
            elif self.send_as_json:
                requests.post(url, json=data, headers=headers)
            else:
                requests.post(url, {self.field: json.dumps(data)}, headers=headers)
        except OSError as error:  # of both clients
            warnings.warn(
                "RemoteMonitor: `root` must be a server that answers (Could not reach "
                f"RemoteMonitor root server at {self.root}). Received: root={self.root!r} "
                f"({error})",
                stacklevel=2,
            )

    def _post_by_urllib(self, url, text):
        import urllib.error
        import urllib.parse
        import urllib.request

        if self.send_as_json:
            kind, body = "application/json", text
        else:
            kind = "application/x-www-form-urlencoded"
            body = urllib.parse.urlencode({self.field: text})
        request = urllib.request.Request(
            url, body.encode("utf-8"), {"Content-Type": kind, **(self.headers or {})}
        )
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS_WITHOUT_AN_ANSWER):
                pass
        except urllib.error.HTTPError as error:
            error.close()  # the server was reached; what it says of the data is its own affair


def _plain(value):
    return value.item() if hasattr(value, "item") else value
