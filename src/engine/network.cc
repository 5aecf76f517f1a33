#include "engine/network.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace metier::engine {

using model::NormPlace;
using model::PositionKind;
using model::RouterInput;

namespace {

// Vectors that keep their memory: a pass of another size only moves the end.
void Size(std::vector<float>& values, std::size_t rows, std::int64_t width) {
  values.resize(rows * static_cast<std::size_t>(width));
}

std::size_t S(std::int64_t n) { return static_cast<std::size_t>(n); }

std::size_t WantedRows(std::span<const Segment> segments) {
  std::size_t wanted = 0;
  for (const Segment& segment : segments) wanted += segment.tokens.size() - segment.want_from;
  return wanted;
}

}  // namespace

Network::Network(std::shared_ptr<const NativeModel> model, KvCache& cache, Compute& compute)
    : model_(std::move(model)),
      spec_(model_->spec()),
      weights_(model_->weights()),
      cache_(cache),
      compute_(compute),
      linears_(compute),
      kv_kernels_(compute.kernels().kv[static_cast<std::size_t>(cache.type())]),
      experts_(spec_, weights_, compute_) {
  if (spec_.position == PositionKind::kAlibi) slopes_ = model::AlibiSlopes(spec_.heads);
  if (spec_.position == PositionKind::kRope) frequencies_ = model::RopeFrequencies(spec_);
}

void Network::Run(std::span<const Segment> segments, float* out) {
  Begin(segments);
  for (std::size_t n = 0; n < weights_.layers.size(); ++n) segments = Layer(segments, n);
  Finish(segments, out);
}

void Network::RunLayers(std::span<const Segment> segments) {
  all_rows_ = true;
  Begin(segments);
  for (std::size_t n = 0; n < weights_.layers.size(); ++n) segments = Layer(segments, n);
  all_rows_ = false;
}

void Network::Begin(std::span<const Segment> segments) {
  rows_ = segments.back().row + segments.back().tokens.size();
  CollectRuns(segments);
  for (std::vector<float>* rows : {&x_, &normed_, &block_}) Size(*rows, rows_, spec_.width);
  for (std::vector<float>* rows : {&q_, &attended_}) Size(*rows, rows_, spec_.q_width());
  for (std::vector<float>* rows : {&k_, &v_}) Size(*rows, rows_, spec_.kv_width());
  Embed(segments);
  if (spec_.position == PositionKind::kRope) PrepareRope(segments);
}

void Network::CollectRuns(std::span<const Segment> segments) {
  runs_.clear();
  ends_.clear();
  for (const Segment& segment : segments) {
    ends_.push_back(segment.row + segment.tokens.size());
    AddRun(segment.adapter, ends_.back(), runs_);
  }
}

void Network::Embed(std::span<const Segment> segments) {
  const std::size_t width = S(spec_.width);
  const auto row = std::span<float>(block_).first(width);  // of no use yet
  const auto add_row = [&](const Matrix& table, std::int64_t index, float* x) {
    DecodeRow(table, index, row);
    for (std::size_t i = 0; i < width; ++i) x[i] += row[i];
  };
  for (const Segment& segment : segments) {
    const Matrix* own = segment.adapter == nullptr ? nullptr : segment.adapter->tokens();
    const Matrix& table = own == nullptr ? weights_.tokens : *own;
    const OwnRows* rows = segment.adapter == nullptr ? nullptr : segment.adapter->token_rows();
    for (std::size_t i = 0; i < segment.tokens.size(); ++i) {
      float* x = x_.data() + (segment.row + i) * width;
      const float* learned = rows == nullptr ? nullptr : rows->Find(segment.tokens[i]);
      if (learned != nullptr) {
        std::copy_n(learned, width, x);
      } else {
        DecodeRow(table, segment.tokens[i], {x, width});
      }
      if (spec_.embed_scale != 1.0) {
        for (std::size_t d = 0; d < width; ++d) x[d] *= static_cast<float>(spec_.embed_scale);
      }
      if (spec_.position == PositionKind::kLearned) {
        const std::int64_t position = segment.first_position + static_cast<std::int64_t>(i);
        add_row(weights_.positions, position + spec_.position_offset, x);
      }
      if (spec_.types > 0) add_row(weights_.types, segment.types.empty() ? 0 : segment.types[i], x);
    }
  }
  if (spec_.embed_norm)
    compute_.Normalise(spec_.norm, weights_.embed_norm, x_.data(), rows_, width, x_.data());
}

// The angle is taken in double: positions * frequency in float would be off by 1e-3 at 16 k tokens.
void Network::PrepareRope(std::span<const Segment> segments) {
  const std::size_t half = frequencies_.size();
  Size(cosine_, rows_, static_cast<std::int64_t>(half));
  Size(sine_, rows_, static_cast<std::int64_t>(half));
  for (const Segment& segment : segments) {
    const auto first = static_cast<double>(segment.first_position);
    compute_.For(segment.tokens.size(), 64 * half, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        for (std::size_t d = 0; d < half; ++d) {
          const double angle =
              (first + static_cast<double>(i)) * static_cast<double>(frequencies_[d]);
          cosine_[(segment.row + i) * half + d] = static_cast<float>(std::cos(angle));
          sine_[(segment.row + i) * half + d] = static_cast<float>(std::sin(angle));
        }
      }
    });
  }
}

std::span<const Segment> Network::Layer(std::span<const Segment> segments, std::size_t n) {
  const LayerWeights& layer = weights_.layers[n];
  const bool experts = !layer.experts.empty();
  const bool before = spec_.norm_place == NormPlace::kBefore;
  const auto norm = [&](const Norm& weights, const std::vector<float>& from,
                        std::vector<float>& to) {
    compute_.Normalise(spec_.norm, weights, from.data(), rows_, S(spec_.width), to.data());
  };
  const float* input = before ? normed_.data() : x_.data();

  // Before anything else, for experts to be fetched meanwhile; but only for rows that go on.
  const bool early = experts && spec_.moe.router_input == RouterInput::kBlockInput;
  const bool narrow = Narrows(segments, n);
  if (early && !narrow) experts_.Route(n, runs_, ends_, x_.data());
  if (before) norm(layer.attn_norm, x_, normed_);
  compute_.ReadsAfterwards({&layer.o.w});
  segments = ProjectHeads(segments, n, input);
  if (rows_ == 0) return segments;
  if (early && narrow) experts_.Route(n, runs_, ends_, x_.data());
  Attend(segments, n);
  if (!experts) compute_.ReadsAfterwards({spec_.gated ? &layer.ffn.gate.w : &layer.ffn.up.w});
  AddProduct(layer.o, attended_.data());
  if (!before) norm(layer.attn_norm, x_, x_);

  if (before) norm(layer.ffn_norm, x_, normed_);
  if (experts) {
    if (!early) experts_.Route(n, runs_, ends_, input);
    experts_.Run(n, runs_, input, block_.data());
    compute_.AddScaled(x_.data(), block_.data(), 1.0F, rows_ * S(spec_.width));
  } else {
    Size(up_, rows_, spec_.hidden);
    compute_.ReadsAfterwards({&layer.ffn.down.w});
    linears_.MultiplyHidden(spec_, layer.ffn, runs_, input, rows_, up_.data());
    if (n + 1 < weights_.layers.size()) {
      const LayerWeights& next = weights_.layers[n + 1];
      compute_.ReadsAfterwards({&next.k.w, &next.v.w, &next.q.w});
    } else if (spec_.head) {
      compute_.ReadsAfterwards({&weights_.head.w});
    }
    AddProduct(layer.ffn.down, up_.data());
  }
  if (!before) norm(layer.ffn_norm, x_, x_);
  return segments;
}

void Network::AddProduct(const Linear& linear, const float* input) {
  const LinearOutput output{.linear = &linear, .out = x_.data(), .add = true};
  linears_.Multiply({&output, 1}, runs_, input, rows_);
}

bool Network::Narrows(std::span<const Segment> segments, std::size_t n) const {
  // Where experts choose, what a wanted row gets hangs on all rows of its sequence.
  if (spec_.moe.chooser == model::ExpertChooser::kExpert) return false;
  return !all_rows_ && n + 1 == weights_.layers.size() && WantedRows(segments) < rows_;
}

std::span<const Segment> Network::ProjectHeads(std::span<const Segment> segments, std::size_t n,
                                               const float* input) {
  const LayerWeights& layer = weights_.layers[n];
  const std::array<LinearOutput, 3> outputs = {{{.linear = &layer.k, .out = k_.data()},
                                                {.linear = &layer.v, .out = v_.data()},
                                                {.linear = &layer.q, .out = q_.data()}}};
  const bool narrow = Narrows(segments, n);
  const std::size_t together = narrow ? 2 : 3;
  linears_.Multiply(std::span(outputs).first(together), runs_, input, rows_);
  const bool rope = spec_.position == PositionKind::kRope && spec_.layer[n].rope;
  RotateHeads(k_.data(), spec_.kv_heads, layer.k_norm, rope);
  StoreKeysAndValues(segments, n);
  if (narrow) {
    segments = Narrow(segments);
    if (rows_ > 0) linears_.Multiply(layer.q, runs_, input, rows_, q_.data());
  }
  RotateHeads(q_.data(), spec_.heads, layer.q_norm, rope);
  return segments;
}

std::span<const Segment> Network::Narrow(std::span<const Segment> segments) {
  const std::size_t width = S(spec_.width);
  narrowed_.clear();
  std::size_t rows = 0;
  for (const Segment& segment : segments) {
    const std::size_t wanted = segment.tokens.size() - segment.want_from;
    if (wanted == 0) continue;
    const std::size_t from = segment.row + segment.want_from;
    const auto move = [&](std::vector<float>& values, std::size_t row_width) {
      std::copy_n(values.data() + from * row_width, wanted * row_width,
                  values.data() + rows * row_width);
    };
    move(x_, width);
    move(normed_, width);
    if (spec_.position == PositionKind::kRope) {
      move(cosine_, frequencies_.size());
      move(sine_, frequencies_.size());
    }
    Segment tail = segment;
    tail.tokens = segment.tokens.subspan(segment.want_from);
    tail.first_position += static_cast<std::int64_t>(segment.want_from);
    tail.row = rows;
    tail.want_from = 0;
    narrowed_.push_back(tail);
    rows += wanted;
  }
  rows_ = rows;
  CollectRuns(narrowed_);
  return narrowed_;
}

// Norm of each head where the model has one, then its rotation. heads: [rows, count, head_dim].
void Network::RotateHeads(float* heads, std::int64_t count, const float* norm, bool rope) {
  if (norm == nullptr && !rope) return;
  const std::size_t head_dim = S(spec_.head_dim);
  const std::size_t half = head_dim / 2;
  const auto epsilon = static_cast<float>(spec_.norm.epsilon);
  const kernels::KernelTable& kernels = compute_.kernels();
  compute_.For(rows_, 8 * S(count) * head_dim, [&](std::size_t begin, std::size_t end) {
    for (std::size_t r = begin; r < end; ++r) {
      for (std::size_t h = 0; h < S(count); ++h) {
        float* head = heads + (r * S(count) + h) * head_dim;
        if (norm != nullptr) kernels.rms_norm(head, norm, epsilon, head, head_dim);
        if (rope) kernels.rope(head, cosine_.data() + r * half, sine_.data() + r * half, half);
      }
    }
  });
}

void Network::StoreKeysAndValues(std::span<const Segment> segments, std::size_t n) {
  const std::size_t head_dim = S(spec_.head_dim);
  const std::size_t kv_width = S(spec_.kv_width());
  const auto layer = static_cast<std::int64_t>(n);
  compute_.For(S(spec_.kv_heads), 4 * rows_ * head_dim, [&](std::size_t begin, std::size_t end) {
    for (const Segment& segment : segments) {
      for (std::size_t head = begin; head < end; ++head) {
        for (std::size_t i = 0; i < segment.tokens.size(); ++i) {
          const std::int64_t position = segment.first_position + static_cast<std::int64_t>(i);
          const auto kv_head = static_cast<std::int64_t>(head);
          const std::size_t at = (segment.row + i) * kv_width + head * head_dim;
          const std::size_t token = S(position) % kernels::kPageTokens;
          kv_kernels_.store_key(k_.data() + at, head_dim, token,
                                cache_.Keys(*segment.past, layer, kv_head, position));
          kv_kernels_.store_value(v_.data() + at, head_dim, token,
                                  cache_.Values(*segment.past, layer, kv_head, position));
        }
      }
    }
  });
}

void Network::StorePrefix(const CachedTokens& past, const model::Prefix& prefix) {
  const std::size_t head_dim = S(spec_.head_dim);
  const float* values = prefix.values.f32().data();
  for (std::int64_t place = 0; place < prefix.tokens; ++place) {
    const std::size_t token = S(place) % kernels::kPageTokens;
    for (std::int64_t layer = 0; layer < spec_.layers; ++layer) {
      for (std::int64_t head = 0; head < spec_.kv_heads; ++head, values += head_dim)
        kv_kernels_.store_key(values, head_dim, token, cache_.Keys(past, layer, head, place));
      for (std::int64_t head = 0; head < spec_.kv_heads; ++head, values += head_dim)
        kv_kernels_.store_value(values, head_dim, token, cache_.Values(past, layer, head, place));
    }
  }
}

void Network::Attend(std::span<const Segment> segments, std::size_t n) {
  // Queries of all heads of a group together: enough for several tiles, and few enough that the
  // crew's shares are even.
  constexpr std::size_t kRowsOfTask = 24;
  tasks_.clear();
  key_pages_.clear();
  value_pages_.clear();
  std::size_t keys = 0;  // over all tasks, for the cost
  for (const Segment& segment : segments) {
    const std::int64_t length =
        segment.first_position + static_cast<std::int64_t>(segment.tokens.size());
    for (std::int64_t head = 0; head < spec_.kv_heads; ++head) {
      const std::size_t pages = key_pages_.size();
      cache_.Pages(*segment.past, static_cast<std::int64_t>(n), head, length, key_pages_,
                   value_pages_);
      for (std::size_t row = 0; row < segment.tokens.size(); row += kRowsOfTask) {
        const std::size_t end = std::min(segment.tokens.size(), row + kRowsOfTask);
        tasks_.push_back({&segment, head, row, end, pages});
        keys += (end - row) * (S(segment.first_position) + end);
      }
    }
  }
  const std::size_t head_dim = S(spec_.head_dim);
  const std::size_t group = S(spec_.heads / spec_.kv_heads);
  const std::size_t cost = keys / tasks_.size() * group * 2 * head_dim;
  compute_.For(tasks_.size(), cost, [&](std::size_t first, std::size_t last) {
    for (std::size_t t = first; t < last; ++t) {
      const AttentionTask& task = tasks_[t];
      const Segment& segment = *task.segment;
      const std::size_t length = S(segment.first_position) + segment.tokens.size();
      const std::size_t head = S(task.kv_head) * group;
      const std::size_t at = (segment.row + task.begin) * S(spec_.q_width()) + head * head_dim;
      kv_kernels_.attention({.q = q_.data() + at,
                             .q_stride = S(spec_.q_width()),
                             .out = attended_.data() + at,
                             .out_stride = S(spec_.q_width()),
                             .k = key_pages_.data() + task.pages,
                             .v = value_pages_.data() + task.pages,
                             .rows = task.end - task.begin,
                             .heads = group,
                             .head_dim = head_dim,
                             .first_position = S(segment.first_position) + task.begin,
                             .length = length,
                             .window = S(spec_.layer[n].sliding_window),
                             .causal = spec_.causal,
                             .slopes = slopes_.empty() ? nullptr : slopes_.data() + head,
                             .scale = static_cast<float>(spec_.score_scale())});
    }
  });
}

void Network::Finish(std::span<const Segment> segments, float* out) {
  const std::size_t width = S(spec_.width);
  std::size_t wanted = 0;
  runs_.clear();
  for (const Segment& segment : segments) {
    for (std::size_t i = segment.want_from; i < segment.tokens.size(); ++i, ++wanted)
      std::copy_n(x_.data() + (segment.row + i) * width, width, normed_.data() + wanted * width);
    AddRun(segment.adapter, wanted, runs_);
  }
  if (wanted == 0) return;
  float* last = spec_.head ? normed_.data() : out;
  if (spec_.final_norm) {
    compute_.Normalise(spec_.norm, weights_.final_norm, normed_.data(), wanted, width, last);
  } else if (!spec_.head) {
    std::copy_n(normed_.data(), wanted * width, out);
  }
  if (spec_.head) linears_.Multiply(weights_.head, runs_, last, wanted, out);
}

}  // namespace metier::engine
