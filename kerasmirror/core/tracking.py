"""Attribute tracking: what a layer, metric or optimizer owns is found when it is assigned."""

from __future__ import annotations

import copy
import functools
import itertools

from kerasmirror.core import tree

# Another number after each assignment to an attribute of a layer, so that what was derived from
# them is looked at again. None comes twice: of threads that assign at once, the last is seen.
CHANGES = [0]
next_change = itertools.count(1).__next__


class Tracker:
    """Sorts assigned values into lists, by predicate.

    `lists` maps a kind to (predicate, list); a value goes to every list whose predicate holds.
    Lists, tuples and dicts are looked into; lists, dicts and sets become tracked ones, so that
    later additions are found too. Once locked, additions raise ValueError.
    """

    def __init__(self, lists):
        self.lists = lists
        self.locked_message = None

    def __getattr__(self, name):
        # Made when first asked for: while an object is being unpickled, its lists may be empty yet.
        if name != "ids":
            raise AttributeError(name)
        self.ids = {kind: {id(item) for item in items} for kind, (_, items) in self.lists.items()}
        return self.ids

    def lock(self, message="nothing more can be added, the tracker is locked"):
        self.locked_message = message

    def unlock(self):
        self.locked_message = None

    def track(self, value):
        """Note what is to be tracked in `value`; returns what to store in its place."""
        if isinstance(value, tuple):
            for item in tree.flatten(value):
                self.track(item)
            return value
        if type(value) is list:
            return TrackedList([self.track(item) for item in value], self)
        if type(value) is dict:
            return TrackedDict({key: self.track(item) for key, item in value.items()}, self)
        if type(value) is set:
            return TrackedSet({self.track(item) for item in value}, self)
        # What is known stays in its list: a variable may have been frozen since.
        if any([id(value) in ids for ids in self.ids.values()]):
            return value
        for kind, (belongs, items) in self.lists.items():
            if belongs(value):
                if self.locked_message is not None:
                    raise ValueError(self.locked_message)
                self.ids[kind].add(id(value))
                items.append(value)
        return value

    def untrack(self, value):
        """Forget `value` and, for a container, what it holds."""
        if isinstance(value, (list, tuple, dict)):
            for item in tree.flatten(value):
                self.untrack(item)
            return
        if isinstance(value, set):
            for item in value:
                self.untrack(item)
            return
        for kind, (_, items) in self.lists.items():
            if id(value) in self.ids[kind]:
                self.ids[kind].discard(id(value))
                items[:] = [item for item in items if item is not value]


class TracksItself:
    """What layers, metrics and optimizers share: copies and pickles have a tracker of their own.

    A subclass says in `_new_tracker` what is tracked into which of its lists, and in
    `_state_of_copy` what of its state a copy starts with.
    """

    def __getstate__(self):
        state = self._state_of_copy()
        tracker = state.pop("_tracker", None)
        if tracker is not None:
            state["_tracker"] = tracker.locked_message
            # Containers are copied as plain ones; these become tracked again.
            kinds = (TrackedList, TrackedDict, TrackedSet)
            state["_tracker_of"] = [k for k, v in state.items() if isinstance(v, kinds)]
        return state

    def __setstate__(self, state):
        state = dict(state)
        if "_tracker" in state:
            locked, tracked = state.pop("_tracker"), state.pop("_tracker_of")
            self.__dict__.update(state)
            tracker = self.__dict__["_tracker"] = self._new_tracker()
            tracker.locked_message = locked
            for name in tracked:
                self.__dict__[name] = _tracked_again(state[name], tracker)
        else:
            self.__dict__.update(state)

    def _state_of_copy(self):
        return dict(self.__dict__)


def _tracked_again(value, tracker):
    if type(value) is list:
        return TrackedList([_tracked_again(item, tracker) for item in value], tracker)
    if type(value) is dict:
        items = {key: _tracked_again(item, tracker) for key, item in value.items()}
        return TrackedDict(items, tracker)
    return TrackedSet(value, tracker) if type(value) is set else value


class TrackedList(list):
    """A list that tells its tracker what is added and taken away."""

    def __init__(self, values=(), tracker=None):
        self.tracker = tracker
        super().__init__(values)

    def _track(self, value):
        return self.tracker.track(value) if self.tracker else value

    def append(self, value):
        super().append(self._track(value))

    def insert(self, index, value):
        super().insert(index, self._track(value))

    def extend(self, values):
        super().extend([self._track(value) for value in values])

    def __iadd__(self, values):
        self.extend(values)
        return self

    def __setitem__(self, index, value):
        self._untrack(self[index])
        super().__setitem__(index, self._track(value))

    def __delitem__(self, index):
        self._untrack(self[index])
        super().__delitem__(index)

    def remove(self, value):
        self._untrack(value)
        super().remove(value)

    def pop(self, index=-1):
        value = super().pop(index)
        self._untrack(value)
        return value

    def clear(self):
        for value in self:
            self._untrack(value)
        super().clear()

    def _untrack(self, value):
        if self.tracker:
            self.tracker.untrack(value)

    def __reduce__(self):
        return list, (list(self),)

    def __deepcopy__(self, memo):

        return [copy.deepcopy(value, memo) for value in self]


class TrackedDict(dict):
    """A dict that tells its tracker what is added and taken away."""

    def __init__(self, values=(), tracker=None):
        self.tracker = tracker
        super().__init__(values)

    def __setitem__(self, key, value):
        if self.tracker:
            if key in self:
                self.tracker.untrack(self[key])
            value = self.tracker.track(value)
        super().__setitem__(key, value)

    def update(self, *args, **kwargs):
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key, default=None):
        if key not in self:
            self[key] = default
        return self[key]

    def __delitem__(self, key):
        self._untrack(self[key])
        super().__delitem__(key)

    def pop(self, key, *default):
        value = super().pop(key, *default)
        self._untrack(value)
        return value

    def popitem(self):
        key, value = super().popitem()
        self._untrack(value)
        return key, value

    def clear(self):
        for value in self.values():
            self._untrack(value)
        super().clear()

    def _untrack(self, value):
        if self.tracker:
            self.tracker.untrack(value)

    def __reduce__(self):
        return dict, (dict(self),)

    def __deepcopy__(self, memo):

        return {copy.deepcopy(k, memo): copy.deepcopy(v, memo) for k, v in self.items()}


class TrackedSet(set):
    """A set that tells its tracker what is added and taken away."""

    def __init__(self, values=(), tracker=None):
        self.tracker = tracker
        super().__init__(values)

    def add(self, value):
        super().add(self.tracker.track(value) if self.tracker else value)

    def update(self, values):
        for value in values:
            self.add(value)

    def remove(self, value):
        super().remove(value)
        self._untrack(value)

    def discard(self, value):
        super().discard(value)
        self._untrack(value)

    def pop(self):
        value = super().pop()
        self._untrack(value)
        return value

    def clear(self):
        for value in list(self):
            self._untrack(value)
        super().clear()

    def _untrack(self, value):
        if self.tracker:
            self.tracker.untrack(value)

    def __reduce__(self):
        return set, (set(self),)


def untracked(method):
    """Decorator: assignments inside the method are not tracked."""

    @functools.wraps(method)
    def wrapper(self, *args, **kwargs):
        before = self.__dict__.get("_tracking_off", False)
        object.__setattr__(self, "_tracking_off", True)
        try:
            return method(self, *args, **kwargs)
        finally:
            object.__setattr__(self, "_tracking_off", before)

    return wrapper
