"""Operations on tensors: arithmetic, indices, products, reductions and shapes."""
