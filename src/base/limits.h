// base/limits.h - what a file or request may ask of us before we allocate anything for it.
//
// Every size that is read from input is multiplied with CheckedMul, compared with a limit here, and
// only then used.
#pragma once

#include <cstdint>
#include <optional>

namespace metier {

struct Limits {
  std::uint64_t max_json_bytes = 256ULL
                                 << 20;  // tokenizer.json of a 256 k vocabulary is about 35 MB
  int max_json_depth = 256;              // nesting of any JSON or YAML document
  std::uint64_t max_yaml_bytes = 16ULL << 20;     // recipes, policies, suites: written by people
  std::uint64_t max_yaml_nodes = 1ULL << 20;      // after alias expansion: stops "billion laughs"
  std::uint64_t max_tensors = 1ULL << 20;         // tensors in one file
  std::uint64_t max_header_bytes = 100ULL << 20;  // safetensors header, as the format says
  std::uint64_t max_metadata_entries = 1ULL << 20;
  std::uint64_t max_string_bytes =
      64ULL << 20;  // one string of metadata (a whole tokenizer.json may be one)
  std::uint64_t max_array_elements = 1ULL << 28;  // one metadata array
  std::uint64_t max_tensor_elements = 1ULL << 40;
  std::uint64_t max_vocab = 1ULL << 22;  // tokens
  std::uint64_t max_layers = 1ULL << 12;
  std::uint64_t max_width = 1ULL << 20;  // any one dimension of a layer
  std::uint64_t max_experts = 1ULL << 14;
  std::uint64_t max_template_bytes = 4ULL << 20;    // source of one chat template
  std::uint64_t max_template_steps = 8ULL << 20;    // nodes visited while rendering it once
  std::uint64_t max_rendered_bytes = 512ULL << 20;  // all text that one rendering makes on the way
};

// a * b, or nothing when it does not fit.
constexpr std::optional<std::uint64_t> CheckedMul(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// a + b, or nothing when it does not fit.
constexpr std::optional<std::uint64_t> CheckedAdd(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

}  // namespace metier
