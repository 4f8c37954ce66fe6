"""Task graph, plan, step table, and what makes one from the other. Pure Python, no TVM."""
