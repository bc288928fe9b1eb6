"""Demonstrations in the files of others, one module a format, each with the same three names.

``read(path)`` gives the arrays of our own npz file (``load_and_save`` says which), ``write(path,
fields)`` writes what ``read`` gives back unchanged, and ``CALLED`` says what the format calls a field that
it calls otherwise. What a format has no place for travels beside its own fields (``beside.py``). Nothing is
unpickled, and no library is imported before a file asks for it.
"""
