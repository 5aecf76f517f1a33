// merge/extract.h - what a fine-tuned model learned, as a LoRA of its base: for each linear the
// best low-rank factors of the difference (merge/truncated_svd.h).
//
// Where a Hugging Face module fuses several of our linears, the module is factored as one, as PEFT
// would have trained it. Scale is 1 everywhere: alpha equals the rank.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "format/peft.h"
#include "model/model_files.h"
#include "model/model_spec.h"
#include "tensor/tensor.h"

namespace metier::merge {

struct ExtractOptions {
  std::int64_t rank = 16;
  double energy = 1;  // below 1: each module the least rank that holds this share, up to `rank`
  // Endings of module paths, or all-linear: every linear but the head.
  std::vector<std::string> target_modules = {"all-linear"};
  // Endings of modules that go along as a whole: the embedding, the head.
  std::vector<std::string> modules_to_save;
  std::uint64_t seed = 1;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("rank", rank, "of the adapter; with --energy the most").AtLeast(1).AtMost(4096);
    field("energy", energy,
          "take for each layer the least rank that holds this share of the squared change; 1: the "
          "rank")
        .Above(0)
        .AtMost(1);
    field("target_modules", target_modules,
          "endings of module paths (q_proj, c_attn), or all-linear: every linear but the head");
    field(
        "modules_to_save", modules_to_save,
        "endings of modules that go along as a whole: the embedding (embed_tokens, wte), the head "
        "(lm_head)");
  }
};

// A module that was factored.
struct ExtractedModule {
  std::string path;
  std::int64_t rank = 0;
  double change = 0;  // |tuned - base| / |base|, Frobenius norms
  double error = 0;   // |tuned - base - B A| / |tuned - base|
};

struct Extraction {
  format::PeftConfig config;
  std::vector<format::PeftModule> modules;  // views into `factors`, for format::WritePeftAdapter
  std::vector<format::NamedTensor> saved;   // alike
  std::vector<tensor::Tensor> factors;
  std::vector<ExtractedModule> report;  // in the order of computation; unchanged ones left out
  // Hugging Face names of parameters that were changed and that the adapter does not hold (norms,
  // biases, modules that are no target): the adapter on its base lacks these changes.
  std::vector<std::string> left_out;
};

// Reads one module of each model at a time. kInvalidArgument: other networks
// (merge/compatible.h), a target that matches nothing, models that do not differ in any target.
Result<Extraction> ExtractAdapter(const model::ModelSpec& base_spec,
                                  const model::ParameterReader& base,
                                  const model::ModelSpec& tuned_spec,
                                  const model::ParameterReader& tuned,
                                  const ExtractOptions& options, const OnProgress& progress = {});

}  // namespace metier::merge
