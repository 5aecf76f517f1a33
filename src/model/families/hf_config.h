// model/families/hf_config.h - config.json read key by key: families ask for values, and what is
// wrong is said once, at the end.
//
// The first error is kept and every later value is a harmless default, so that a family reads like
// a list of its keys. Finish() returns the error, or looks at the keys that nobody asked for: one
// that changes the function of any model known to us must have its neutral value there.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "model/model_spec.h"

namespace metier::model {

// Other names of the same key, tried in order; when several are present they must agree.
using Keys = std::initializer_list<std::string_view>;

class HfConfig {
 public:
  explicit HfConfig(const Json& config);

  // A whole number from 1 to 2^32. Without a default the key is required; null counts as absent.
  std::int64_t Size(Keys keys);
  std::int64_t SizeOr(Keys keys, std::int64_t fallback);
  // The number of layers: limited at once, because lists of that length follow.
  std::int64_t Layers(Keys keys);
  double NumberOr(Keys keys, double fallback);
  bool FlagOr(std::string_view key, bool fallback);
  // silu, gelu, gelu_new, ...; any other name is an error.
  Activation ActivationOr(Keys keys, Activation fallback);
  // One 0 or 1 a layer. Empty when the key is absent.
  std::vector<bool> Flags(std::string_view key, std::int64_t layers);
  // Of layer_types: true where a layer is "sliding_attention". Empty when the key is absent.
  std::vector<bool> SlidingLayers(std::int64_t layers);
  // rope_theta and rope_scaling, or the newer rope_parameters.
  RopeSpec Rope(double default_theta);

  // The key is there and says null, where that differs from its absence.
  bool IsNull(std::string_view key) const;
  // Reads the key, in whichever way, so that Finish() does not look at it. nullptr: absent or null.
  const Json* Raw(std::string_view key);

  // Records an error about a key, unless there is one already.
  void Refuse(ErrorCode code, std::string_view key, const Json& found, std::string_view expected);

  // The error, or the spec. kUnsupported: a key that changes the function and was not read.
  Result<ModelSpec> Finish(ModelSpec spec);

 private:
  const Json* First(Keys keys);
  std::int64_t CheckedSize(std::string_view key, const Json& value);
  double CheckedNumber(std::string_view key, const Json& value);
  void RopeFromObject(const Json& object, std::string_view key, RopeSpec& rope);
  void CheckArchitectures();
  void CheckOtherKeys();

  const Json& config_;
  std::set<std::string, std::less<>> read_;
  std::optional<Error> error_;
};

// "silu" and so on, as to_config writes them.
std::string_view HfActivationName(Activation activation);

// rope_scaling of a config, null without. kFactors has no form there: see WriteHuggingFaceModel.
Json HfRopeScaling(const RopeSpec& rope);

}  // namespace metier::model
