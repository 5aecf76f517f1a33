// The index of a packed file: every family's spec and tensors there and back, and what is refused.
#include "model/packed_index.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "model/family.h"
#include "model/spec_json.h"
#include "support/fixtures.h"

namespace metier::model {
namespace {

PackedIndex IndexOf(const ModelSpec& spec) {
  PackedIndex index{.layout = "some", .spec = spec, .tensors = {}};
  for (const Parameter& parameter : Parameters(spec)) {
    index.tensors[parameter.name] = {.panels = parameter.shape.size() == 2,
                                     .dtype = tensor::DType::kBF16,
                                     .shape = parameter.shape};
  }
  return index;
}

TEST(PackedIndex, HoldsEveryFamilyToTheLastBit) {
  for (const Family* family : Families()) {
    ModelSpec spec = family->tiny();
    spec.rope.theta = 10000.000000000002;
    spec.norm.epsilon = 1.0000000000000002e-5;
    if (spec.rope.scaling == RopeScaling::kFactors) spec.rope.factors.front() = 1.0000001F;
    const PackedIndex index = IndexOf(spec);
    ASSERT_OK_AND_ASSIGN(const PackedIndex found, ReadPackedIndex(WritePackedIndex(index), {}));
    EXPECT_TRUE(found.spec == spec) << family->name;
    EXPECT_EQ(found.layout, "some");
    ASSERT_EQ(found.tensors.size(), index.tensors.size());
    for (const auto& [name, tensor] : index.tensors) {
      EXPECT_EQ(found.tensors.at(name).panels, tensor.panels);
      EXPECT_EQ(found.tensors.at(name).dtype, tensor.dtype);
      EXPECT_EQ(found.tensors.at(name).shape, tensor.shape);
    }
  }
}

TEST(SpecJson, HoldsRopeFactors) {
  ModelSpec spec = (*FindFamily("llama"))->tiny();
  spec.rope.scaling = RopeScaling::kFactors;
  spec.rope.factors = {1.0F, 1.0000001F, 32.5F, 0.1F};
  ASSERT_OK_AND_ASSIGN(const ModelSpec found, SpecFromJson(SpecToJson(spec)));
  EXPECT_TRUE(found == spec);
}

TEST(SpecJson, NamesTheFieldThatIsWrong) {
  const Json valid = SpecToJson((*FindFamily("llama"))->tiny());
  const auto with = [&](const char* key, Json value) {
    Json changed = valid;
    changed[key] = std::move(value);
    return changed;
  };
  EXPECT_ERROR(SpecFromJson(Json::array()), ErrorCode::kDataCorrupt, "an object of fields");
  EXPECT_ERROR(SpecFromJson(with("colour", 1)), ErrorCode::kDataCorrupt, "\"colour\"");
  EXPECT_ERROR(SpecFromJson(with("width", "wide")), ErrorCode::kDataCorrupt,
               "\"width\" cannot be \"wide\"");
  EXPECT_ERROR(SpecFromJson(with("width", 32.5)), ErrorCode::kDataCorrupt, "\"width\"");
  EXPECT_ERROR(SpecFromJson(with("causal", 1)), ErrorCode::kDataCorrupt, "\"causal\"");
  EXPECT_ERROR(SpecFromJson(with("activation", "tanh")), ErrorCode::kDataCorrupt, "\"activation\"");
  EXPECT_ERROR(SpecFromJson(with("rope_factors", {1e-60})), ErrorCode::kDataCorrupt,
               "\"rope_factors\"");
  EXPECT_ERROR(SpecFromJson(with("layer", {{{"rope", true}}})), ErrorCode::kDataCorrupt,
               "\"layer\"");
  Json less = valid;
  less.erase("heads");
  EXPECT_ERROR(SpecFromJson(less), ErrorCode::kDataCorrupt, "no field \"heads\"");
}

TEST(PackedIndex, RefusesWhatIsNone) {
  const auto read = [](const std::string& text) { return ReadPackedIndex(text, {}); };
  EXPECT_ERROR(read("{"), ErrorCode::kDataCorrupt, kPackedKey);
  EXPECT_ERROR(read("[]"), ErrorCode::kDataCorrupt, "are expected");
  EXPECT_ERROR(read(R"({"layout": 3, "model": {}, "tensors": {}})"), ErrorCode::kDataCorrupt,
               "are expected");
  PackedIndex index = IndexOf((*FindFamily("llama"))->tiny());
  index.tensors.at("final_norm.weight").dtype = tensor::DType::kQ4_K;
  EXPECT_ERROR(read(WritePackedIndex(index)), ErrorCode::kDataCorrupt, "whole blocks of Q4_K");
}

}  // namespace
}  // namespace metier::model
