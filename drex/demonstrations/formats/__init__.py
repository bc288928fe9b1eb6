"""Formats of demonstrations, one module per format, each with the same three names.

``read(path)`` returns the arrays of drex's npz file (see ``load_and_save``), or raises a UserError for an
invalid file; ``write(path, fields)`` is its inverse, to a new path; ``FIELD_NAMES`` maps fields to the
format's names. Fields that a format lacks are stored as extra fields (``extra_fields.py``). Nothing is
unpickled, and libraries are imported at first use.
"""
