"""No engine: the arithmetic of articles and papers, and what reservation, rounding and paging each cost."""
