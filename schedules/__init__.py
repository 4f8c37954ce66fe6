"""TIR kernels with a tile range, one file per kernel family; see `hetcomp.schedules.select`.

`anchors`, `winograd`, `int8` and `rowwise` hold the families, `group` those for OpenCL class `gpu`,
`blocks` what all are built of; the files beside this one are what other packages use.
"""
