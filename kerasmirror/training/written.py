"""What a recorded pass writes to beside its results: moving statistics, states of generators."""

from __future__ import annotations

from kerasmirror.core import scopes
from kerasmirror.core.variable import WriteLog
from kerasmirror.training.replayable import flat_layers


class Written:
    """The variables that a pass of the model may write to, as they are before it.

    Another thread may train the model meanwhile: what this one has not written to, it leaves alone.
    """

    def __init__(self, model):
        states = [generator.state for generator in generators(model)]
        variables = {id(v): v for v in (*states, *model.non_trainable_variables)}
        self._variables = list(variables.values())
        self._before = self._values()
        self._after = None
        self._log = WriteLog()

    def noted(self):
        """The context that the pass runs in."""
        return self._log

    def _values(self):
        return [variable.data.copy() for variable in self._variables]

    def restore(self):
        """Set back to what they were those that the pass has written to."""
        self._set(self._before)

    def _set(self, values):
        own = self._own()
        for variable, value in zip(self._variables, values, strict=True):
            if id(variable) in own:
                variable.data[...] = value

    def _own(self):
        return {id(variable) for variable, _ in self._log.entries}

    def is_disturbed(self):
        """Whether others than the pass have written to them, too."""
        own = self._own()
        return not all([id(variable) in own for variable in self.changed()])

    def settle(self):
        """Note what they are after the pass."""
        if self._after is None:
            self._after = self._values()

    def changed(self):
        """Those that have been written to."""
        self.settle()
        return [
            variable
            for variable, a, b in zip(self._variables, self._before, self._after, strict=True)
            if a.tobytes() != b.tobytes()
        ]

    def draws(self, k, model, recorder):
        """For each seed state that the pass moved on, the keys it gave.

        The recorder is told where the states were set, or two layers drew the same.
        """
        if self.is_disturbed():
            recorder.refuse("variables change that the pass does not write to")
        values = {
            id(v): (a, b)
            for v, a, b in zip(self._variables, self._before, self._after, strict=True)
        }
        draws, seen, known = [], set(), set()
        for generator in generators(model):
            state = generator.state
            if id(state) in known:
                continue
            known.add(id(state))
            (s0, first), (after, last) = ([int(n) for n in part] for part in values[id(state)])
            if s0 != after:
                recorder.refuse("a generator got another seed")
            elif first != last:
                keys = k.keys_drawn(s0, first, last)
                if not seen.isdisjoint(keys):
                    recorder.refuse("two layers draw the same numbers")
                seen.update(keys)
                draws.append((state.data, keys))
        return draws

    def repeats(self, program, runs):
        """Whether the program gives the recorded results again, from memory full of NaN.

        `runs` has the inputs and the recorded results of each phase. What the program writes to is
        left as it is now.
        """
        now = self._values()
        self.restore()
        program.fill_memory(0xFF)
        same = True
        for phase, (inputs, recorded) in enumerate(runs):
            fresh, kept = program.run(inputs, phase)
            results = [*fresh, *kept]
            same = same and all(
                a.tobytes() == b.tobytes() for a, b in zip(results, recorded, strict=True)
            )
        again = self._values()
        same = same and all(
            a.tobytes() == b.tobytes() for a, b in zip(again, self._after, strict=True)
        )
        self._set(now)
        return same


def tell_before_writing(variables):
    """Let whoever takes back what a failed step wrote know of variables about to change."""
    observer = scopes.WRITES.observer
    if observer is not None:
        for variable in variables:
            observer.before_write(variable)


def generators(model):
    """The seed generators of the model's layers."""
    return [g for layer in flat_layers(model) for g in layer._seed_generators]
