"""Demonstrations in the files of others, one module a format, each with the same three names.

``read(path)`` gives the arrays of drex's npz file (see ``load_and_save``), ``write(path, fields)`` writes
what ``read`` gives back unchanged, and ``FIELD_NAMES`` maps fields to the format's names for them. Fields
that a format has no place for are kept as extra fields (``extra_fields.py``). Nothing is unpickled, and no
library is imported before a file needs it.
"""
