"""What a model's weight files say of themselves: names, shapes, formats and sizes of tensors, read from headers alone."""
