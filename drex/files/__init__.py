"""Files: atomic writes, run folders, JSON, npz, HDF5, Arrow."""
