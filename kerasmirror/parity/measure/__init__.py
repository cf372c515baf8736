"""What is measured of a model, written against `keras`, which is either package.

The child processes load this folder by its path, so nothing in it imports kerasmirror by name.
Functions take `keras` first and plain data else: `target` says what to build (targets.py), a
function that takes `keras` or a dict; `data` is (x, y, sample weights), each an array, a list or a
dict of them, or None; `settings` has what the user says of the training (building.compiled).
"""
