// merge/merge_config.h - a merge of models as users write it, in the shape that mergekit made
// usual.
//
//   merge_method: ties
//   base_model: models/base
//   models:
//     - model: models/law
//       parameters: {weight: 0.6, density: 0.5}
//     - model: models/medicine
//       parameters: {weight: [0.2, 0.8], density: 0.5}     # rising along the layers
//   parameters: {normalize: true, lambda: 1}
//   dtype: bfloat16
//
// or, in the place of `models`, layers of several models on top of each other:
//
//   merge_method: passthrough
//   slices:
//     - sources: [{model: models/a, layer_range: [0, 24]}]     # the end is not included
//     - sources: [{model: models/b, layer_range: [8, 32]}]
//
// Keys of mergekit that mean something we do not do are refused by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "merge/setting.h"
#include "recipe/fields.h"

namespace metier::merge {

enum class Method {
  kLinear,
  kSlerp,
  kTaskArithmetic,
  kTies,
  kDareLinear,
  kDareTies,
  kPassthrough,
};

// "linear", "dare_ties", ...
std::string_view MethodName(Method method);

// Parameters as they are written; merge/setting.h says in which forms.
struct RawSettings {
  Json weight;
  Json density;
  Json scale;
  Json t;
  Json lambda;
  Json normalize;
  Json int8_mask;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("weight", weight,
          "linear, task_arithmetic, ties, dare_*: a model's part; a number, numbers along the "
          "layers, or a list of {filter, value}; must be given");
    field("density", density,
          "ties, dare_*: the share of a model's changes that is kept, above 0 and at most 1; "
          "absent: 1");
    field("scale", scale, "passthrough: weights are multiplied by it; absent: 1");
    field("t", t, "slerp: 0 is the base, 1 the other model; must be given");
    field("lambda", lambda, "task_arithmetic, ties, dare_*: of the summed changes; absent: 1");
    field("normalize", normalize,
          "linear, task_arithmetic, ties, dare_*: divide by the sum of the weights; absent: true "
          "for linear and ties");
    field("int8_mask", int8_mask,
          "mergekit keeps its masks smaller with it; there are no masks in memory here, and the "
          "result is the same");
  }
};

struct ModelEntry {
  std::string model;
  RawSettings parameters;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("model", model, "a Hugging Face directory or a GGUF file").Required();
    field("parameters", parameters, "of this model, before those of the whole merge");
  }
};

struct SourceEntry {
  std::string model;
  std::vector<std::int64_t> layer_range;
  RawSettings parameters;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("model", model, "a Hugging Face directory or a GGUF file").Required();
    field("layer_range", layer_range, "[first, end]: its layers from first to before end")
        .AtLeast(0)
        .Required();
    field("parameters", parameters, "of this source, before those of the slice");
  }
};

struct SliceEntry {
  std::vector<SourceEntry> sources;
  RawSettings parameters;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("sources", sources, "layers that are merged with each other, as many of every model")
        .Required();
    field("parameters", parameters, "of this slice, before those of the whole merge");
  }
};

// A held-out text, and its part in what a search makes small.
struct ObjectiveEntry {
  std::string file;
  double weight = 1;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("file", file, "text, or JSONL with a \"text\" field when its name ends in .jsonl")
        .Required();
    field("weight", weight, "its part, against the other files'").Above(0).AtMost(1e9);
  }
};

// What `metier merge evolve` does with the numbers that are left open.
struct EvolveEntry {
  std::vector<ObjectiveEntry> files;
  std::int64_t window = 0;
  std::int64_t generations = 20;
  std::int64_t population = 0;
  double sigma = 0.25;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("files", files,
          "held-out texts, one a domain: the mean of their losses (the logarithm of token "
          "perplexity) becomes small")
        .Required();
    field("window", window, "tokens a window of text holds; 0: as many as the model takes")
        .AtLeast(0);
    field("generations", generations, "rounds of the search").AtLeast(1).AtMost(100000);
    field("population", population,
          "merges tried in a round, at least 3; 0: 4 + 3 ln n for n open numbers")
        .AtLeast(0)
        .AtMost(10000);
    field("sigma", sigma, "how far the first round strays, in widths of the ranges")
        .Above(0)
        .AtMost(1);
  }
};

// The document, field by field; what the fields mean together is checked by ParseMergeConfig.
struct MergeDocument {
  std::string merge_method;
  std::string base_model;
  std::vector<ModelEntry> models;
  std::vector<SliceEntry> slices;
  RawSettings parameters;
  std::string dtype = "auto";
  std::string out_dtype = "auto";
  std::string tokenizer_source = "base";
  std::int64_t seed = 1;
  std::optional<EvolveEntry> evolve;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("merge_method", merge_method,
          "linear: weighted mean; slerp: along the arc between two; task_arithmetic: the base and "
          "weighted changes; ties: changes trimmed by size, signs elected; dare_linear, dare_ties: "
          "changes dropped by chance; passthrough: layers as they are")
        .Required()
        .OneOf({"linear", "slerp", "task_arithmetic", "ties", "dare_linear", "dare_ties",
                "passthrough"});
    field("base_model", base_model,
          "what changes are against (task_arithmetic, ties, dare_*); slerp: the model at t = 0. "
          "Its tokenizer goes along; absent: the first model's");
    field("models", models, "whole models to merge");
    field("slices", slices, "or layers of models, put on top of each other");
    field("parameters", parameters, "for all models that do not say otherwise");
    field("dtype", dtype,
          "type of the written weights; auto: the base's. Sums are taken in 64 bits and rounded "
          "once, whatever is written here")
        .OneOf({"auto", "float32", "float16", "bfloat16"});
    field("out_dtype", out_dtype, "the same, and stronger than dtype")
        .OneOf({"auto", "float32", "float16", "bfloat16"});
    field("tokenizer_source", tokenizer_source,
          "whose tokenizer files go along: base, or a model's path; their tokens must be the same");
    field("seed", seed, "dare_*: of what is dropped; `evolve`: of the search").AtLeast(0);
    field("evolve", evolve, "how open numbers are found; `metier merge evolve` needs it");
  }
};

// The settings of one place (a source, a slice, the whole merge), read.
struct Settings {
  Setting weight;
  Setting density;
  Setting scale;
  Setting t;
  Setting lambda;
  Setting normalize;
};

// Layers [first, end) of a model.
struct Source {
  std::string model;
  std::int64_t first = 0;
  std::int64_t end = 0;  // of `models`: -1, all layers
  Settings settings;
};

struct Slice {
  std::vector<Source> sources;
  Settings settings;
};

struct MergeConfig {
  Method method = Method::kLinear;
  std::string base_model;     // "": none
  std::vector<Slice> slices;  // at least one; `models` are one slice
  Settings settings;
  std::string dtype;             // "auto", "float32", ...
  std::string tokenizer_source;  // a model's path
  std::uint64_t seed = 1;
  std::optional<EvolveEntry> evolve;

  bool uses_base() const;  // changes against it are summed
  // Every model once, the base first.
  std::vector<std::string> Models() const;
};

// kDataCorrupt: a key or value that is wrong, by its path and with the nearest known key; a
// parameter that the method does not take. kUnsupported: a key of mergekit that we do not honour.
// kInvalidArgument: a number that is left open.
Result<MergeConfig> ParseMergeConfig(const Json& document);

}  // namespace metier::merge
