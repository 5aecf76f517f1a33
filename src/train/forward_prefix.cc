// The prefix's part of Network's forward pass (network.h).
#include <cstdint>
#include <vector>

#include "train/network.h"

namespace metier::train {

// The prefix stands before each sequence as tokens that ask for nothing: what attends to the keys
// and values of a cache attends to these.
at::Tensor Network::AttendWithPrefix(std::int64_t index, const at::Tensor& qkv,
                                     const AttentionShape& shape, const Layout& layout) const {
  const std::int64_t tokens = qkv.size(0);
  const at::Tensor keys = prefix_.Keys(index);
  const at::Tensor none =
      at::zeros({prefix_.tokens(), spec_.q_width()}, keys.options().requires_grad(false));
  const at::Tensor rows = at::cat({none, keys, prefix_.Values(index)}, 1).to(qkv.scalar_type());
  Layout longer;
  std::vector<std::int64_t> order;
  std::vector<std::int64_t> own;
  for (std::size_t s = 1; s < layout.starts.size(); ++s) {
    for (std::int64_t p = 0; p < prefix_.tokens(); ++p) order.push_back(tokens + p);
    for (std::int64_t t = layout.starts[s - 1]; t < layout.starts[s]; ++t) {
      own.push_back(static_cast<std::int64_t>(order.size()));
      order.push_back(t);
    }
    longer.starts.push_back(static_cast<std::int64_t>(order.size()));
  }
  const auto index_of = [&](const std::vector<std::int64_t>& places) {
    return torch::tensor(places, at::kLong).to(qkv.device());
  };
  const at::Tensor all = GatherRows(at::cat({qkv, rows}), index_of(order));
  return PickRows(Attention(all, shape, longer), index_of(own));
}

}  // namespace metier::train
