"""Finding out what is fastest on this machine: measuring tasks, timing whole tables, and tuning.

`measure` and `select` serve every compilation. The rest is `hetcomp tune`: `tasks` and `space` say
what can be chosen, `search` proposes, `trial` and `runner` build and measure, `judge` decides,
`loop` steers, `database` keeps, and `winners` answers `compile --tuned`.

Only kernels made from templates are tuned. TVM's MetaSchedule was tried on a CumSum, of kind
`opaque` (scans and sorts that TVM brings as one hand-written loop nest, without blocks): its design
space is a single point, which does not build, so there is nothing to search. It was not tried on
the contractions without a template, ConvTranspose and Conv3D, which run as row-wise loops: its
kernels have no ranges of tiles, by which tasks are split between the processors.
"""
