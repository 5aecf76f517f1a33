// retail/shop_main.cc - the program retail_shop: one subcommand for each thing the shop can make.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "base/progress.h"
#include "fmt/format.h"
#include "retail/corpus.h"
#include "retail/database.h"
#include "retail/desk.h"
#include "retail/generate.h"
#include "retail/rough_tokens.h"
#include "retail/simulator.h"
#include "retail/spellings.h"
#include "retail/statistics.h"

namespace metier::retail {
namespace {

// As the other programs of the project: 2 wrong use, 3 bad input, 4 a missing resource.
int ExitCode(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kInvalidArgument: return 2;
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kIo: return 4;
    default: return 3;
  }
}

enum class Form { kIndented, kOneLine };

int Report(const Status& status, const Json& summary, Form form) {
  if (!status.ok()) {
    fmt::print(stderr, "retail_shop: {}\n", status.error().message());
    return ExitCode(status.error());
  }
  fmt::print("{}", form == Form::kOneLine ? DumpCompact(summary) + "\n" : DumpPretty(summary));
  return 0;
}

struct GenerateFlags {
  WorldOptions options;
  std::string out;
  std::string today = FormatDay(WorldOptions().today);
};

Status Generate(const GenerateFlags& flags, Json& summary) {
  WorldOptions options = flags.options;
  METIER_ASSIGN(options.today, ParseDay(flags.today));
  METIER_ASSIGN(const World world, MakeWorld(options));
  METIER_TRY(WriteDatabase(world, flags.out));
  summary = {{"out", flags.out},
             {"seed", options.seed},
             {"products", world.products.size()},
             {"skus", world.variants.size()},
             {"customers", world.customers.size()},
             {"orders", world.orders.size()},
             {"returns", world.returns.size()},
             {"reviews", world.reviews.size()}};
  return Ok();
}

void AddGenerate(CLI::App& app, GenerateFlags& flags) {
  CLI::App* verb = app.add_subcommand("generate", "make the shop: catalogue, customers, orders");
  verb->add_option("--out", flags.out, "SQLite file to write")->required();
  verb->add_option("--seed", flags.options.seed, "the same seed makes the same shop");
  verb->add_option("--skus", flags.options.skus, "product options in the catalogue");
  verb->add_option("--customers", flags.options.customers, "customers");
  verb->add_option("--orders", flags.options.orders, "orders");
  verb->add_option("--today", flags.today, "the day on which the shop stands");
}

struct SimulateFlags {
  std::string database;
  std::string out;
  std::string system;
  std::string split = "train";
  std::uint64_t seed = 1;
  int count = 4000;
  std::string tools = "inline";
  std::string policy = "none";
};

Status Simulate(const SimulateFlags& flags, Json& summary) {
  METIER_ASSIGN(const World world, ReadDatabase(flags.database));
  SimulationOptions options;
  options.split = ParseSplit(flags.split).value_or(Split::kTrain);  // checked by the command line
  options.seed = flags.seed;
  options.tools = flags.tools == "inline" ? ToolList::kInline : ToolList::kOmitted;
  options.policy = flags.policy == "digest" ? PolicyText::kDigest : PolicyText::kNone;
  METIER_TRY(CheckPlayable(world, options.split));
  const Simulator simulator(world, ToolSet::Ours(), options);
  METIER_ASSIGN(AtomicFile file, AtomicFile::Create(flags.out));
  Statistics statistics;
  Progress progress("simulate", static_cast<std::uint64_t>(flags.count));
  for (int i = 0; i < flags.count; ++i) {
    const auto index = static_cast<std::uint64_t>(i);
    const Dialogue dialogue = simulator.Play(index);
    statistics.Add(dialogue);
    METIER_TRY(file.Write(DumpCompact(simulator.ToJson(dialogue, index)) + "\n"));
    progress.Update(index + 1);
  }
  METIER_TRY(file.Commit());
  if (!flags.system.empty()) METIER_TRY(WriteFileAtomic(flags.system, simulator.SystemMessage()));
  summary = statistics.ToJson();
  summary["out"] = flags.out;
  return Ok();
}

void AddSimulate(CLI::App& app, SimulateFlags& flags) {
  CLI::App* verb =
      app.add_subcommand("simulate", "play customers against the oracle agent: dialogues as JSONL");
  verb->add_option("--db", flags.database, "the shop, made by 'generate'")->required();
  verb->add_option("--out", flags.out, "JSONL file to write")->required();
  verb->add_option("--system", flags.system, "write the system message of the dialogues here, too");
  verb->add_option("--split", flags.split, "whose customers, products and phrases")
      ->check(CLI::IsMember({"train", "valid", "test"}));
  verb->add_option("--count", flags.count, "dialogues")->check(CLI::Range(1, 10000000));
  verb->add_option("--seed", flags.seed, "the same seed makes the same dialogues");
  verb->add_option("--tools", flags.tools, "inline: each line carries the list of tools; omit")
      ->check(CLI::IsMember({"inline", "omit"}));
  verb->add_option("--policy", flags.policy,
                   "in the system message: none, or a digest of the policy")
      ->check(CLI::IsMember({"none", "digest"}));
}

struct CorpusFlags {
  std::string out;
  std::string split = "train";
  std::uint64_t seed = 1;
  std::uint64_t tokens = 2000000;
  std::string form = "text";
  std::string spellings;
};

void Count(const Json& text, std::uint64_t& tokens, std::uint64_t& bytes) {
  const auto& content = text.get_ref<const std::string&>();
  tokens += RoughTokens(content);
  bytes += content.size();
}

Json CorpusRow(const CorpusWriter& writer, const std::string& form, std::uint64_t index) {
  if (form == "chat") return {{"messages", writer.Conversation(index)}};
  if (form == "lookup") return {{"messages", writer.LookingUp(index)}};
  return {{"text", form == "repeat" ? writer.Repetition(index) : writer.Document(index)}};
}

Status Corpus(const CorpusFlags& flags, Json& summary) {
  std::optional<Spellings> spellings;
  if (!flags.spellings.empty()) {
    METIER_ASSIGN(spellings, Spellings::Read(flags.spellings));
  }
  const CorpusWriter writer(ParseSplit(flags.split).value_or(Split::kTrain), flags.seed,
                            spellings ? &*spellings : nullptr);
  METIER_ASSIGN(AtomicFile file, AtomicFile::Create(flags.out));
  Progress progress("corpus", flags.tokens);
  std::uint64_t documents = 0;
  std::uint64_t tokens = 0;
  std::uint64_t bytes = 0;
  while (tokens < flags.tokens) {
    const Json row = CorpusRow(writer, flags.form, documents);
    ++documents;
    if (row.contains("text")) {
      Count(row["text"], tokens, bytes);
    } else {
      for (const Json& message : row["messages"]) Count(message["content"], tokens, bytes);
    }
    METIER_TRY(file.Write(DumpCompact(row) + "\n"));
    progress.Update(std::min(tokens, flags.tokens));
  }
  METIER_TRY(file.Commit());
  summary = {{"out", flags.out}, {"documents", documents}, {"tokens", tokens}, {"bytes", bytes}};
  return Ok();
}

void AddCorpus(CLI::App& app, CorpusFlags& flags) {
  CLI::App* verb = app.add_subcommand(
      "corpus", "text for pre-training a small base model, without tool calls: JSONL");
  verb->add_option("--out", flags.out, "JSONL file to write")->required();
  verb->add_option("--form", flags.form,
                   "text: prose and exercises; repeat: values and their "
                   "repetition; chat: {\"messages\"}; lookup: chats about records")
      ->check(CLI::IsMember({"text", "repeat", "chat", "lookup"}));
  verb->add_option("--tokens", flags.tokens, "about how many tokens to write")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1000000000}));
  verb->add_option("--split", flags.split, "whose names and phrases")
      ->check(CLI::IsMember({"train", "valid", "test"}));
  verb->add_option("--seed", flags.seed, "the same seed makes the same text");
  verb->add_option("--spellings", flags.spellings,
                   "tokenizer.json whose entries make up many of the names, so that the text "
                   "holds all of them");
}

struct DeskFlags {
  std::string database;
};

Status Desk(const DeskFlags& flags) {
  METIER_ASSIGN(const World world, ReadDatabase(flags.database));
  return RunDesk(world, ToolSet::Ours(), stdin, stdout);
}

void AddDesk(CLI::App& app, DeskFlags& flags) {
  CLI::App* verb = app.add_subcommand(
      "desk", "execute an agent's tool calls: reads one a line, prints one result a line");
  verb->add_option("--db", flags.database, "the shop, made by 'generate'; it is not changed")
      ->required();
}

int Main(int argc, char** argv) {
  CLI::App app("The shop that ships with Metier: its data and its simulated customers.",
               "retail_shop");
  app.option_defaults()->always_capture_default();
  app.require_subcommand(1);
  app.fallthrough();  // --json may stand before or after the verb
  GenerateFlags generate;
  SimulateFlags simulate;
  CorpusFlags corpus;
  DeskFlags desk;
  bool json = false;
  AddGenerate(app, generate);
  AddSimulate(app, simulate);
  AddCorpus(app, corpus);
  AddDesk(app, desk);
  app.add_flag("--json", json, "print the summary as one line of JSON");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const Form form = json ? Form::kOneLine : Form::kIndented;
  Json summary;
  if (app.got_subcommand("desk")) {
    const Status done = Desk(desk);
    return done.ok() ? 0 : Report(done, summary, form);
  }
  if (app.got_subcommand("corpus")) return Report(Corpus(corpus, summary), summary, form);
  if (app.got_subcommand("simulate")) return Report(Simulate(simulate, summary), summary, form);
  return Report(Generate(generate, summary), summary, form);
}

}  // namespace
}  // namespace metier::retail

int main(int argc, char** argv) { return metier::retail::Main(argc, argv); }
