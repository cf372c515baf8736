"""A CUDA driver whose GPU is the CPU: kernels' own lowered code, run thread by thread.

For tests and for study on machines without a GPU (KERASMIRROR_CUDA_EMULATOR=1); needs numba-cuda
and greenlet. It finds what a simulator in Python cannot: a wrong address in the code that the GPU
would run, a barrier that not all threads reach and, with shuffled threads, one that is missing.
"""
