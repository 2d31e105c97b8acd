"""How right kvplan is: published start-up logs of real GPUs, and the present code's error on each of them."""
