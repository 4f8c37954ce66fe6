"""TIR kernels with a tile range, one file per kernel family; see `hetcomp.schedules.select`."""
