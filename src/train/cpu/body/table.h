// train/cpu/body/table.h - the table of one instruction set; included last by each isa_*.cc.

template <class T>
constexpr KernelTable TableOf(const char* name) {
  KernelTable table{};
  table.name = name;
  table.norm = &Norm<T>;
  table.norm_grad = &NormGrad<T>;
  table.gate = &Gate<T, false>;
  table.gate_grad = &Gate<T, true>;
  table.cross_entropy = &CrossEntropy<T>;
  table.attention_scratch = &AttentionScratch<T>;
  table.attention = &Attention<T>;
  table.attention_grad = &AttentionGrad<T>;
  table.adam = &Adam<T>;
  table.dropout = &Dropout<T>;
  table.low_rank_add = &LowRankAdd<T>;
  table.low_rank_sum = &LowRankSum<T>;
  table.sum_squares = &SumSquares<T>;
  return table;
}
