// The two public worlds, unpacked from the shared data, and what was recorded in them.
#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"
#include "support/fixtures.h"
#include "worlds/world.h"

namespace metier::worlds {

// Loads a folder whose data may be packed (.zst).
inline Result<World> LoadShared(Domain domain, const std::string& folder) {
  namespace fs = std::filesystem;
  const test::TempFolder unpacked;
  fs::create_directories(unpacked / "data");
  for (const char* place : {"", "/data"}) {
    for (const auto& entry : fs::directory_iterator(folder + place)) {
      const std::string name = entry.path().filename().string();
      const std::string target = (unpacked / place) + "/" + name;
      if (entry.path().extension() == ".zst") {
        test::WriteAll(target.substr(0, target.size() - 4), test::ReadZstd(entry.path().string()));
      } else if (entry.is_regular_file()) {
        test::WriteAll(target, test::ReadAll(entry.path().string()));
      }
    }
  }
  return World::Load(domain, unpacked.path());
}

// The recordings were made when users' addresses called a state "province"; the data that is
// published calls it "state", and is otherwise the same (the hashes that recorded_airline_test.cc
// compares show it).
inline Json WithRenamed(Json record, const char* from, const char* to) {
  if (!record.is_object() || !record.contains("address")) return record;
  Json renamed = Json::object();
  for (const auto& [name, field] : record["address"].items())
    renamed[name == from ? to : name] = field;
  record["address"] = renamed;
  return record;
}

enum class Agreement { kEqual, kEqualButForTheName, kDifferent };

inline Agreement Compare(const std::string& recorded, const std::string& observed) {
  if (recorded == observed) return Agreement::kEqual;
  const Result<Json> theirs = ParseJson(recorded);
  const Result<Json> ours = ParseJson(observed);
  if (!theirs.ok() || !ours.ok()) return Agreement::kDifferent;
  using Unordered = nlohmann::json;  // objects are equal whatever their order
  const auto equal = [](const Json& a, const Json& b) { return Unordered(a) == Unordered(b); };
  if (equal(*theirs, *ours)) return Agreement::kEqual;
  return equal(WithRenamed(*theirs, "province", "state"), *ours) ? Agreement::kEqualButForTheName
                                                                 : Agreement::kDifferent;
}

}  // namespace metier::worlds
