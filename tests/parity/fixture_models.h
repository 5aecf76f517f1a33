// tests/parity/fixture_models.h - opens what the shared fixtures hold, and compares.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/native_backend.h"
#include "engine/native_model.h"
#include "support/differences.h"
#include "support/fixtures.h"

namespace metier::parity {

// Archives are unpacked once for the whole program.
inline const std::string& Unpacked(const std::string& archive) {
  static const test::TempFolder folder;
  static std::map<std::string, std::string> done;
  const auto [entry, added] = done.try_emplace(archive);
  if (added) {
    entry->second = folder / std::to_string(done.size());
    test::UnpackTarZstd(archive, entry->second);
  }
  return entry->second;
}

inline std::vector<std::int32_t> TokensOf(const std::string& file, const std::string& name) {
  const Json document = ReadJsonFile(file).value();
  return document.at(name).get<std::vector<std::int32_t>>();
}

// All results of one text.
inline std::vector<float> RunText(model::Backend& backend, const std::vector<std::int32_t>& tokens,
                                  const std::vector<std::int32_t>& types = {},
                                  model::AdapterId adapter = model::AdapterId::kNone) {
  const model::SequenceId sequence = backend.OpenSequence(adapter).value();
  const model::SequenceStep step{
      .sequence = sequence, .tokens = tokens, .types = types, .want = model::Want::kAll};
  const auto rows = backend.Forward({&step, 1});
  EXPECT_TRUE(rows.ok()) << (rows.ok() ? "" : rows.error().message());
  std::vector<float> values;
  if (rows.ok()) values.assign(rows->front().values.begin(), rows->front().values.end());
  backend.CloseSequence(sequence);
  return values;
}

using test::LargestDifference;

}  // namespace metier::parity
