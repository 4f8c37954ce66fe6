"""What things cost: times of tasks, of synchronisation and transfer, and the cache of them."""
