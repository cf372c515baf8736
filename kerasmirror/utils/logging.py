"""The switches of interactive logging, under the names they also have in `keras.utils`."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core import config

export("utils.enable_interactive_logging")(config.enable_interactive_logging)
export("utils.disable_interactive_logging")(config.disable_interactive_logging)
export("utils.is_interactive_logging_enabled")(config.is_interactive_logging_enabled)
