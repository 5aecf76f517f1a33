// The official JSON-Schema-Test-Suite: every required test of the drafts 2020-12 and 07, and the
// optional ones with a table of those that we answer differently on purpose.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "grammar/schema_validator.h"
#include "support/fixtures.h"

namespace metier::grammar {
namespace {

namespace fs = std::filesystem;

struct SuiteResult {
  int tests = 0;
  std::vector<std::string> wrong;
};

std::vector<std::string> JsonFilesIn(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path().filename().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The suite's remotes, as its own server would serve them.
std::map<std::string, Json> Remotes(const std::string& suite) {
  std::map<std::string, Json> documents;
  const fs::path root = fs::path(suite) / "remotes";
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".json") continue;
    auto document = ReadJsonFile(entry.path().string());
    EXPECT_TRUE(document.ok()) << entry.path();
    if (!document.ok()) continue;
    documents.emplace("http://localhost:1234/" + fs::relative(entry.path(), root).generic_string(),
                      std::move(document).value());
  }
  return documents;
}

// What one test should say and did: empty when they agree.
std::string Disagreement(const Result<SchemaValidator>& validator, const Json& test) {
  if (!validator.ok()) return "schema refused: " + validator.error().message();
  const bool expected = test["valid"].get<bool>();
  const auto accepts = validator->Accepts(test["data"]);
  if (!accepts.ok()) return accepts.error().message();
  if (*accepts != expected) return fmt::format("found {}, expected {}", *accepts, expected);
  // The walk that explains must come to the same verdict, with at least one reason.
  const auto violations = validator->Violations(test["data"], 100);
  if (!violations.ok()) return violations.error().message();
  if (violations->empty() != expected) return "the explanation disagrees with the verdict";
  return "";
}

SuiteResult RunFile(const std::string& path, const SchemaOptions& options) {
  SuiteResult result;
  const auto groups = ReadJsonFile(path);
  EXPECT_TRUE(groups.ok()) << path;
  if (!groups.ok()) return result;
  for (const Json& group : *groups) {
    const auto validator = SchemaValidator::Compile(group["schema"], options);
    for (const Json& test : group["tests"]) {
      ++result.tests;
      const std::string disagreement = Disagreement(validator, test);
      if (disagreement.empty()) continue;
      result.wrong.push_back(fmt::format("{} / {}: {}", group["description"].get<std::string>(),
                                         test["description"].get<std::string>(), disagreement));
    }
  }
  return result;
}

std::string Lines(const std::vector<std::string>& lines) {
  return fmt::format("{}", fmt::join(lines, "\n"));
}

struct SuiteDraft {
  const char* name;
  const char* folder;
  SchemaDraft draft;
  int required;  // tests in the suite's commit; a file that stops being found would pass otherwise
};

class SchemaSuite : public testing::TestWithParam<SuiteDraft> {};

TEST_P(SchemaSuite, EveryRequiredTest) {
  METIER_NEEDS_SHARED(shared);
  const std::string suite = shared + "/data/tools-json-schema-test-suite";
  SchemaOptions options = {.default_draft = GetParam().draft, .documents = Remotes(suite)};
  const std::string folder = fmt::format("{}/tests/{}", suite, GetParam().folder);
  int tests = 0;
  for (const std::string& file : JsonFilesIn(folder)) {
    const SuiteResult result = RunFile(folder + "/" + file, options);
    tests += result.tests;
    EXPECT_TRUE(result.wrong.empty()) << file << "\n" << Lines(result.wrong);
  }
  EXPECT_GE(tests, GetParam().required);
}

// Optional tests that we answer differently.
struct OptionalException {
  const char* draft;
  const char* file;
  std::size_t wrong;
  const char* why;
};
constexpr OptionalException kExceptions[] = {
    {"draft7", "content.json", 4, "contentMediaType and contentEncoding only annotate"},
};

std::size_t ExpectedWrong(const std::string& draft, const std::string& file) {
  for (const OptionalException& exception : kExceptions) {
    if (draft == exception.draft && file == exception.file) return exception.wrong;
  }
  return 0;
}

TEST_P(SchemaSuite, OptionalTestsButForListedOnes) {
  METIER_NEEDS_SHARED(shared);
  const std::string suite = shared + "/data/tools-json-schema-test-suite";
  SchemaOptions options = {.default_draft = GetParam().draft, .documents = Remotes(suite)};
  const std::string folder = fmt::format("{}/tests/{}/optional", suite, GetParam().folder);
  int tests = 0;
  const auto run = [&](const std::string& file) {
    const SuiteResult result = RunFile(folder + "/" + file, options);
    tests += result.tests;
    EXPECT_EQ(result.wrong.size(), ExpectedWrong(GetParam().folder, file)) << file << "\n"
                                                                           << Lines(result.wrong);
  };
  for (const std::string& file : JsonFilesIn(folder)) run(file);
  options.formats = SchemaFormats::kAssert;
  for (const std::string& file : JsonFilesIn(folder + "/format")) run("format/" + file);
  EXPECT_GT(tests, 500);
}

INSTANTIATE_TEST_SUITE_P(
    Drafts, SchemaSuite,
    testing::Values(SuiteDraft{"Draft202012", "draft2020-12", SchemaDraft::kDraft202012, 1000},
                    SuiteDraft{"Draft07", "draft7", SchemaDraft::kDraft07, 700}),
    [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace metier::grammar
