// tests/unit/merge/merging.h - small random models in memory, and configurations as text.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "merge/merge_config.h"
#include "merge/plan.h"
#include "merge/source_model.h"
#include "model/family.h"
#include "model/model_files.h"
#include "support/fixtures.h"
#include "tensor/tensor.h"

namespace metier::merge::test {

// A family's tiny model with so many layers, all like its first.
inline model::ModelSpec TinySpec(const std::string& family, std::int64_t layers) {
  const auto found = model::FindFamily(family);
  EXPECT_TRUE(found.ok());
  model::ModelSpec spec = (*found)->tiny();
  spec.layers = layers;
  spec.layer.assign(static_cast<std::size_t>(layers), spec.layer.front());
  return spec;
}

inline SourceModel RandomSource(const model::ModelSpec& spec, std::uint64_t seed) {
  return {.spec = spec, .read = [spec, seed](const std::string& name) {
            return model::RandomParameter(spec, name, seed, 0.1);
          }};
}

inline Result<MergeConfig> ParseConfig(const std::string& yaml) {
  METIER_ASSIGN(const Json document, ParseYaml(yaml));
  return ParseMergeConfig(document);
}

inline Result<MergePlan> PlanOf(const std::string& yaml, SourceModels models) {
  METIER_ASSIGN(const MergeConfig config, ParseConfig(yaml));
  return MergePlan::Create(config, std::move(models));
}

inline std::vector<float> ValuesOf(const Result<tensor::Tensor>& tensor) {
  EXPECT_TRUE(tensor.ok()) << (tensor.ok() ? "" : tensor.error().message());
  if (!tensor.ok()) return {};
  const auto values = tensor->f32();
  return {values.begin(), values.end()};
}

inline std::vector<float> RandomValues(std::size_t count, std::uint64_t seed, double scale = 1) {
  Rng rng(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(scale * rng.Normal());
  return values;
}

}  // namespace metier::merge::test
