"""Finding out what is fastest on this machine: measuring tasks, timing whole tables, and tuning.

`measure` and `select` serve every compilation. The rest is `hetcomp tune`: `tasks` and `space` say
what can be chosen, `search` proposes, `trial` and `runner` build and measure, `judge` decides,
`loop` steers, `database` keeps, and `winners` answers `compile --tuned`.

Only kernels made from templates are tuned. TVM's MetaSchedule was tried where no template fits
(kind `opaque`: scans and sorts that TVM brings as one hand-written loop nest, without blocks): its
design space of a CumSum is a single point, which does not build, so there is nothing to search.
"""
