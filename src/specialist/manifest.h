// specialist/manifest.h - specialist.yaml: what a specialist is made of, every file named by its
// SHA-256.
//
//   SPECIALIST/
//     specialist.yaml   this manifest
//     base/             the base model's directory, or base.gguf
//     adapter/          PEFT adapter (optional)
//     tools.json        tools it may call (optional)      system.md  its system message (optional)
//     policy.md ...     documents it follows (optional)   evaluation.json  what it passed
//     (optional) lineage.json      the stages that made it
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "recipe/fields.h"

namespace metier::specialist {

inline constexpr char kManifestName[] = "specialist.yaml";
inline constexpr std::int64_t kManifestFormat = 1;

// How it is meant to be run; the caller's own settings win.
struct GenerationDefaults {
  double temperature = 0;
  double top_p = 1;
  std::int64_t max_tokens = 256;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("temperature", temperature, "0: the most likely token").AtLeast(0).AtMost(10);
    field("top_p", top_p, "least set of tokens with this much probability").Above(0).AtMost(1);
    field("max_tokens", max_tokens, "longest answer").AtLeast(1);
  }
};

struct Manifest {
  std::int64_t format = kManifestFormat;
  std::string name;
  std::string description;
  std::string made_by;  // "metier 0.1.0"
  std::string family;
  std::int64_t parameters = 0;
  std::string base;     // path in the folder: "base" or "base.gguf"
  std::string adapter;  // "" or "adapter"
  std::string tools;
  std::string system;
  std::string tool_dialect;
  std::vector<std::string> documents;
  std::string evaluation;
  Json scores = Json::object();  // the headline figures of the evaluation
  GenerationDefaults generation;
  std::string chat_template_sha256;  // of the template's text: what training and serving must share
  std::string recipe;  // how it was made: the recipe as it was run, changes and seed included
  std::map<std::string, std::string>
      files;  // relative path -> SHA-256, every file but the manifest

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("format", format, "version of this layout").Required().AtLeast(1);
    field("name", name, "the specialist's name").Required();
    field("description", description, "one sentence for people");
    field("made_by", made_by, "program and version that packaged it");
    field("family", family, "model family");
    field("parameters", parameters, "parameters of the base").AtLeast(0);
    field("base", base, "the base model, a path in this folder").Required();
    field("adapter", adapter, "PEFT adapter, a path in this folder");
    field("tools", tools, "tools it may call, a path in this folder");
    field("system", system, "system message, a path in this folder");
    field("tool_dialect", tool_dialect, "how it writes tool calls");
    field("documents", documents, "policies and other documents, paths in this folder");
    field("evaluation", evaluation, "results that it passed, a path in this folder");
    field("scores", scores, "headline figures of the evaluation");
    field("generation", generation, "how it is meant to be run");
    field("chat_template_sha256", chat_template_sha256, "hash of the chat template's text");
    field("recipe", recipe, "the recipe as it was run, a path in this folder");
    field("files", files, "SHA-256 of every file").Required();
  }
};

// Reads specialist.yaml and compares every file with it. kDataCorrupt: a file that is absent,
// altered, or outside the folder: the message says which, with both hashes. kUnsupported: a newer
// format.
Result<Manifest> VerifySpecialist(const std::string& folder);

// Whether a path is a specialist's folder.
bool IsSpecialist(const std::string& path);

// Fills manifest.files from the folder's content and writes specialist.yaml last.
Status WriteManifest(const std::string& folder, Manifest manifest);

}  // namespace metier::specialist
