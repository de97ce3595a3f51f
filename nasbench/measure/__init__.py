"""From single measuring processes to figures that can be trusted: levels, comparisons, races, the cache."""
