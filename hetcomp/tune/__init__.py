"""Finding out what is fastest on this machine: measuring tasks, and timing whole tables."""
