"""What is compared, as data: each case is user code whose `keras` is the real one or the mirror."""
