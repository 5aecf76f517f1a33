// Schemas from the world (JSONSchemaBench): how many compile, and that what they accept is what is
// valid, with the instances of its mask benchmark.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "grammar/grammar.h"
#include "support/fixtures.h"

namespace metier::grammar {
namespace {

std::vector<std::filesystem::path> FilesOf(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

TEST(SchemaBench, MostSchemasCompile) {
  METIER_NEEDS_SHARED(shared);
  const std::string bench = shared + "/data/tools-jsonschemabench/";
  const auto share = [&](const std::string& group) {
    const std::vector<std::filesystem::path> files = FilesOf(bench + group);
    int compiled = 0;
    for (const std::filesystem::path& path : files) {
      const Result<Json> schema = ReadJsonFile(path);
      EXPECT_OK(schema);
      const Result<Grammar> grammar = Grammar::OfSchema(*schema);
      compiled += grammar.ok() ? 1 : 0;
      if (!grammar.ok())
        std::printf("%s: %s\n", path.filename().c_str(), grammar.error().message().c_str());
    }
    std::printf("%s: %d of %zu compile\n", group.c_str(), compiled, files.size());
    return static_cast<double>(compiled) / static_cast<double>(files.size());
  };
  for (const char* group : {"Github_trivial", "Github_easy", "Github_medium", "Glaiveai2K",
                            "Kubernetes", "Snowplow", "WashingtonPost"})
    EXPECT_GE(share(group), 0.97) << group;
  EXPECT_GE(share("JsonSchemaStore"), 0.80);
}

TEST(SchemaBench, AcceptsWhatIsValidAndNothingElse) {
  METIER_NEEDS_SHARED(shared);
  int valid = 0;
  int invalid = 0;
  for (const std::filesystem::path& path :
       FilesOf(shared + "/data/tools-jsonschemabench/maskbench/data")) {
    SCOPED_TRACE(path.filename());
    ASSERT_OK_AND_ASSIGN(const Json document, ReadJsonFile(path));
    const Result<Grammar> grammar = Grammar::OfSchema(document.at("schema"));
    if (!grammar.ok()) continue;
    for (const Json& test : document.at("tests")) {
      const bool expected = test.at("valid").get<bool>();
      (expected ? valid : invalid) += 1;
      EXPECT_EQ(grammar->Accepts(DumpCompact(test.at("data"))), expected);
      EXPECT_EQ(grammar->Accepts(test.at("data").dump(2)), expected);
    }
  }
  EXPECT_GT(valid, 450);
  EXPECT_GT(invalid, 700);
  std::printf("%d valid instances accepted, %d invalid ones not\n", valid, invalid);
}

}  // namespace
}  // namespace metier::grammar
