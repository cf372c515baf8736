"""Progbar: the line that shows how far a run is, with its running metrics."""

from __future__ import annotations

import math
import sys
import time

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import console
from kerasmirror.core.console import print_msg

_BOLD, _GREEN, _WHITE, _PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"


@export("utils.Progbar")
class Progbar:
    """Prints "12/30 ━━━━━━━━━━━━━━━━━━━━ 3s 10ms/step - accuracy: 0.9100 - loss: 0.3000".

    While a run goes on the line shows the time still needed, at its end the time it took.

    Args: target, the number of steps (None: unknown). `width`, the bar's columns. `verbose`: 1
    redraws the line, 2 prints it at the end only, 0 nothing. `interval`, seconds between redraws.
    `stateful_metrics` are shown as they come and all others averaged over the steps;
    `stateless_metrics` names the averaged ones instead. `unit_name`, what a step is called.
    Raises: ValueError when both lists of metrics are given.
    Source: Keras 3.15 `keras.utils.Progbar`.
    """

    def __init__(
        self,
        target,
        width=20,
        verbose=1,
        interval=0.05,
        stateful_metrics=None,
        stateless_metrics=None,
        unit_name="step",
    ):
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError(
                "Progbar: Only one of `stateful_metrics` and `stateless_metrics` can be given. "
                f"Received: stateful_metrics={stateful_metrics!r}, "
                f"stateless_metrics={stateless_metrics!r}"
            )
        self.target = target
        self.width = width
        self.verbose = 1 if verbose == "auto" else verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful_metrics = None if stateful_metrics is None else set(stateful_metrics)
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        if stateful_metrics is None and stateless_metrics is None:
            self.stateful_metrics = set()
        # Keras counts any POSIX system as able to redraw a line; its logs in files look the same.
        self._dynamic_display = "posix" in sys.modules or console.can_redraw()
        self._seen_so_far = 0
        self._values = {}
        self._start = time.time()
        self._last_update = 0
        self._time_after_first_step = None
        self._prev_total_width = 0

    def due(self):
        """Whether an update that comes now is printed."""
        return self.verbose == 1 and time.time() - self._last_update >= self.interval

    def update(self, current, values=None, finalize=None):
        """Show step number `current` of `target`, with `values`, pairs (name, value of the step).

        `finalize` ends the line; by default it is true once `current` has reached `target`.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        self._take(current, values or [], finalize)
        now = time.time()
        time_per_unit = self._estimate_step_duration(current, now)
        if self.verbose == 1:
            if now - self._last_update < self.interval and not finalize:
                return
            self._draw(current, now, time_per_unit, finalize)
        elif self.verbose == 2 and finalize and self.target is not None and self.target > 0:
            print_msg(self._final_line(current, now, time_per_unit), line_break=False)
        self._last_update = now

    def add(self, n, values=None):
        """Go `n` steps on."""
        self.update(self._seen_so_far + n, values)

    def _take(self, current, values, finalize):
        for name, value in values:
            if self.stateful_metrics is not None:
                averaged = name not in self.stateful_metrics
            else:
                averaged = name in self.stateless_metrics
            if not averaged or finalize:
                # What comes last is the result of the whole run.
                self._values[name] = [value, 1]
                continue
            steps = max(current - self._seen_so_far, 1)
            total, count = self._values.get(name, (0, 0))
            self._values[name] = [total + value * steps, count + steps]
        self._seen_so_far = current

    def _draw(self, current, now, time_per_unit, finalize):
        bar, bar_width = self._bar(current)
        if self._has_target() and not finalize:
            duration = _duration(time_per_unit * (self.target - current))
        else:
            duration = f"{now - self._start:.0f}s"
        info = _format_time(time_per_unit, self.unit_name)
        info += "".join(f" - {name}: {self._shown(name, abs)}" for name in self._values)
        # Columns on screen, which the colour codes do not take.
        total_width = bar_width + 1 + len(duration) + len(info)
        start = "\b" * self._prev_total_width + "\r" if self._dynamic_display else "\n"
        message = f"{start}{bar} {_BOLD}{duration}{_PLAIN}{info}"
        message += " " * (self._prev_total_width - total_width)
        print_msg(message + "\n" if finalize else message, line_break=False)
        self._prev_total_width = total_width

    def _has_target(self):
        return self.target is not None and self.target > 0

    def _bar(self, current):
        """The count and the bar, and how many columns they take."""
        if not self._has_target():
            text = f"{current:7d}/Unknown"
            return text, len(text)
        count = self._count(current)
        done = int(self.width * (float(current) / self.target))
        left = self.width - done
        text = f"{_BOLD}{count}{_PLAIN} "
        if done > 0:
            text += f"{_GREEN}{'━' * done}{_PLAIN}"
        text += f"{_WHITE}{'━' * left}{_PLAIN}"
        return text, len(count) + 1 + max(done, 0) + max(left, 0)

    def _count(self, current):
        digits = int(math.log10(self.target)) + 1
        return f"{current:{digits}d}/{self.target:d}"

    def _final_line(self, current, now, time_per_unit):
        line = f"{self._count(current)} - {now - self._start:.0f}s"
        line += f" -{_format_time(time_per_unit, self.unit_name)}"
        # Keras shows negative values with an exponent here, and without in the redrawn line.
        line += "".join(f" - {name}: {self._shown(name, float)}" for name in self._values)
        return line + "\n"

    def _shown(self, name, size):
        total, count = self._values[name]
        if not isinstance(total, float):
            total = np.mean(total)
        average = total / max(1, count)
        return f"{average:.4f}" if size(average) > 1e-3 else f"{average:.4e}"

    def _estimate_step_duration(self, current, now):
        """Seconds per step; the first step, which also warms up, counts only while it is alone."""
        if not current:
            return 0
        if self._time_after_first_step is not None and current > 1:
            time_per_unit = (now - self._time_after_first_step) / (current - 1)
        else:
            time_per_unit = (now - self._start) / current
        if current == 1:
            self._time_after_first_step = now
        return time_per_unit


def _duration(seconds):
    """4s, 1:02 or 1:00:00."""
    if seconds > 3600:
        return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{int(seconds % 60):02d}"
    if seconds > 60:
        return f"{int(seconds // 60)}:{int(seconds % 60):02d}"
    return f"{int(seconds)}s"


def _format_time(time_per_unit, unit_name):
    if time_per_unit >= 1 or time_per_unit == 0:
        return f" {time_per_unit:.0f}s/{unit_name}"
    if time_per_unit >= 1e-3:
        return f" {time_per_unit * 1e3:.0f}ms/{unit_name}"
    return f" {time_per_unit * 1e6:.0f}us/{unit_name}"
