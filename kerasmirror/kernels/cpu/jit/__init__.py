"""What compiles kernels: the part that needs numba, imported when something has to be compiled."""
