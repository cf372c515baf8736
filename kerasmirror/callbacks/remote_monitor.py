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
        # The HTTP client takes a tenth of a second to load, and only this callback needs it.
        import urllib.error
        import urllib.parse
        import urllib.request

        text = json.dumps({"epoch": epoch, **{k: _plain(v) for k, v in (logs or {}).items()}})
        if self.send_as_json:
            kind, body = "application/json", text
        else:
            kind = "application/x-www-form-urlencoded"
            body = urllib.parse.urlencode({self.field: text})
        request = urllib.request.Request(
            self.root + self.path,
            data=body.encode("utf-8"),
            headers={"Content-Type": kind, **(self.headers or {})},
        )
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS_WITHOUT_AN_ANSWER):
                pass
        except urllib.error.HTTPError as error:
            error.close()  # the server was reached; what it says of the data is its own affair
        except OSError as error:
            warnings.warn(
                f"RemoteMonitor: `root` must be a server that answers. Received: "
                f"root={self.root!r} ({error})",
                stacklevel=2,
            )


def _plain(value):
    return value.item() if hasattr(value, "item") else value
