#include "train/run_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/hash.h"
#include "train/hyper_tasks.h"
#include "train/model_source.h"
#include "train/schedule.h"

namespace metier::train {
namespace {

// Packs are nearly full, so with 64 there are some twenty sizes, and two in a hundred tokens are
// filling.
constexpr std::int64_t kBatchMultiple = 64;

Result<Json> HashFiles(const std::vector<std::string>& files) {
  Json hashes = Json::array();
  for (const std::string& file : files) {
    METIER_ASSIGN(std::string hash, Sha256OfFile(file));
    hashes.push_back(std::move(hash));
  }
  if (files.empty()) return Json(nullptr);
  return files.size() == 1 ? hashes.front() : hashes;
}

Result<std::int64_t> NumberOf(const std::string& name, const std::vector<std::string>& names,
                              const char* what, const char* whose) {
  const auto found = std::ranges::find(names, name);
  if (found != names.end()) return found - names.begin();
  const std::string remedy = names.empty()
                                 ? "there is none; leave it out"
                                 : fmt::format("expected one of {}", fmt::join(names, ", "));
  return Error(ErrorCode::kInvalidArgument, fmt::format("{} '{}': no {} of the {} is called so, {}",
                                                        what, name, what, whose, remedy));
}

// Whose the texts of a source are: an expert's of the router's, or a task's of the model's or
// run's.
Result<std::int64_t> DomainOf(const std::string& file, const std::string& expert,
                              const std::string& task, const Domains& domains) {
  const char* whose = domains.described ? "run's" : "model's";
  if (!task.empty()) return NumberOf(task, domains.tasks, "task", whose);
  if (domains.tasks.size() > 1) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("token file '{}' names no task, and the {} {} go by one: say "
                             "`task` where train_mixture.sources or eval_files have the file, one "
                             "of {}",
                             file, whose, domains.described ? "adapters" : "experts",
                             fmt::join(domains.tasks, ", ")));
  }
  if (!domains.tasks.empty() && domains.experts.empty()) return 0;
  if (expert.empty()) return -1;
  return NumberOf(expert, domains.experts, "expert", "router's");
}

std::vector<recipe::EvalSource> EvalSources(const recipe::TrainConfig& config) {
  if (config.eval_file.empty()) return config.eval_files;
  return {{.name = "", .file = config.eval_file, .expert = "", .task = ""}};
}

// How train file `s` is mixed in, and whose it is.
recipe::DataSource SourceAt(const recipe::TrainConfig& config, std::size_t s) {
  recipe::DataSource source;
  if (config.train_mixture) return config.train_mixture->sources[s];
  if (config.hyper) source.task = config.hyper->tasks[s].name;
  return source;
}

Corpus::Use UseOf(const recipe::TrainConfig& config) {
  if (recipe::LearnsFromPairs(config)) return Corpus::Use::kPairs;
  return recipe::LearnsFromAnswers(config) ? Corpus::Use::kAnswers : Corpus::Use::kTexts;
}

// The example whose answer stands behind this one's prompt: not of the same pair.
std::int64_t Partner(const Corpus& corpus, std::int64_t example) {
  const std::int64_t steps = std::min<std::int64_t>(2, corpus.examples() - 1);
  return (example + steps) % corpus.examples();
}

void AddTokens(const Corpus& corpus, const PackingOptions& options, const Piece& piece,
               BatchBuilder& builder) {
  const auto ids = corpus.Ids(piece.example).subspan(static_cast<std::size_t>(piece.first));
  for (std::int64_t i = 0; i < piece.tokens; ++i) {
    const std::int32_t id = ids[static_cast<std::size_t>(i)];
    if (!options.masking) {
      builder.Add(id, Predicted(corpus, options, piece, i) ? BatchBuilder::Role::kPredicted
                                                           : BatchBuilder::Role::kRead);
    } else if (const auto read = HiddenAs(corpus, options, piece, i)) {
      builder.AddHidden(id, *read);
    } else {
      builder.Add(id, BatchBuilder::Role::kRead);
    }
  }
}

std::optional<double> ValueOf(const std::vector<double>& values, std::int64_t example) {
  if (values.empty()) return std::nullopt;
  return values[static_cast<std::size_t>(example)];
}

}  // namespace

std::int64_t Reading::Units(const recipe::TrainConfig& config) const {
  return recipe::LearnsFromAnswers(config) ? counts.pieces / corpus.group() : counts.predictions;
}

Result<RunData> RunData::Open(const recipe::TrainConfig& config, std::int64_t vocab,
                              const Domains& domains) {
  RunData data(config);
  const std::vector<std::string> files = recipe::TrainFiles(config);
  METIER_ASSIGN(data.train_.corpus, Corpus::Open(files, vocab, UseOf(config)));
  METIER_ASSIGN(data.train_hashes_, HashFiles(files));
  for (std::size_t s = 0; s < files.size(); ++s) {
    const recipe::DataSource source = SourceAt(config, s);
    METIER_ASSIGN(const std::int64_t domain,
                  DomainOf(files[s], source.expert, source.task, domains));
    data.train_.domains.push_back(domain);
  }
  std::vector<std::string> eval_files;
  for (const recipe::EvalSource& source : EvalSources(config)) {
    Reading reading;
    reading.name = source.name;
    METIER_ASSIGN(reading.corpus, Corpus::Open({source.file}, vocab, UseOf(config)));
    METIER_ASSIGN(const std::int64_t domain,
                  DomainOf(source.file, source.expert, source.task, domains));
    reading.domains = {domain};
    Result<PackingCounts> counts = CountPacks(reading.corpus, EvalPackingOf(config), 0, 0);
    if (!counts.ok()) return std::move(counts).error().With("eval_file '" + source.file + "'");
    reading.counts = *std::move(counts);
    data.evals_.push_back(std::move(reading));
    eval_files.push_back(source.file);
  }
  METIER_ASSIGN(data.eval_hashes_, HashFiles(eval_files));
  if (!config.general_file.empty()) {
    METIER_ASSIGN(data.general_.corpus, Corpus::Open({config.general_file}, vocab));
    data.general_.domains = {-1};
    METIER_ASSIGN(data.general_.counts,
                  CountPacks(data.general_.corpus, GeneralPackingOf(config), 0, 0));
  }
  if (config.ewc) {
    METIER_ASSIGN(data.old_.corpus, Corpus::Open({config.ewc->file}, vocab));
    data.old_.domains = {-1};
    METIER_ASSIGN(data.old_hash_, HashFiles({config.ewc->file}));
  }
  if (recipe::Reconstructs(config)) {
    data.items_ = CountDescriptions(*config.hyper);
    data.train_hashes_ = Json::array();
    for (const recipe::HyperTask& task : config.hyper->tasks) {
      METIER_ASSIGN(std::string hash, HashModel(task.adapter));
      data.train_hashes_.push_back(std::move(hash));
    }
    METIER_ASSIGN(data.total_steps_, TotalSteps(data.items_, config));
    return data;
  }
  if (config.grpo) {
    data.items_ = data.train_.corpus.examples();
    METIER_ASSIGN(data.total_steps_, TotalSteps(data.items_, config));
    return data;
  }
  METIER_ASSIGN(data.train_.counts, CountPacks(data.train_.corpus, PackingOf(config),
                                               static_cast<std::uint64_t>(config.seed), 0));
  METIER_ASSIGN(data.total_steps_, TotalSteps(data.train_.corpus, config));
  return data;
}

std::string RunData::Summary() const {
  if (config_.grpo) {
    return fmt::format("{} prompts, {} answers to each; {} steps", items_,
                       config_.grpo->num_generations, total_steps_);
  }
  if (items_ > 0) {
    return fmt::format("{} adapters with {} descriptions; {} steps", config_.hyper->tasks.size(),
                       items_, total_steps_);
  }
  const Corpus& corpus = train_.corpus;
  const PackingCounts& counts = train_.counts;
  std::string text = fmt::format(
      "{} examples, {} tokens a pass, {} of them with loss ({:.1f} %), in {} packs; {} steps",
      corpus.examples(), counts.tokens, counts.predictions,
      100.0 * static_cast<double>(counts.predictions) / static_cast<double>(counts.tokens),
      counts.packs, total_steps_);
  if (counts.split_examples > 0)
    text += fmt::format("; {} examples longer than max_seq_len were split", counts.split_examples);
  if (counts.truncated_examples > 0) {
    text += fmt::format("; {} examples were truncated, {} tokens left out",
                        counts.truncated_examples, counts.truncated_tokens);
  }
  if (corpus.sources() > 1) text += "; a pass has " + SourceTokens();
  if (counts.silent_pieces > 0)
    text += fmt::format("; {} without a token to predict were left out", counts.silent_pieces);
  return text;
}

std::string RunData::SourceTokens() const {
  const Corpus& corpus = train_.corpus;
  std::string text;
  for (std::size_t s = 0; s < corpus.sources(); ++s) {
    const std::int64_t read = train_.counts.source_tokens[s];
    text += fmt::format("{}{} tokens of '{}' ({:.2f} times its own)", s == 0 ? "" : ", ", read,
                        corpus.path(s),
                        static_cast<double>(read) / static_cast<double>(corpus.tokens(s)));
  }
  return text;
}

Batch RunData::MakeBatch(const Reading& reading, const std::vector<Pack>& packs,
                         at::Device device) const {
  const PackingOptions options = PackingOf(config_);
  const Corpus& corpus = reading.corpus;
  BatchBuilder builder;
  for (const Pack& pack : packs) {
    for (const Piece& piece : pack) {
      AddTokens(corpus, options, piece, builder);
      builder.EndSequence({.domain = reading.domains[corpus.SourceOf(piece.example)],
                           .judgement = corpus.Judgement(piece.example),
                           .reference = ValueOf(reading.references, piece.example)});
    }
  }
  Batch batch = std::move(builder).Build(device, kBatchMultiple);
  if (!reading.mismatched.empty())
    batch.mismatched = std::make_shared<const Batch>(MakeMismatched(reading, packs, device));
  return batch;
}

Batch RunData::MakeMismatched(const Reading& reading, const std::vector<Pack>& packs,
                              at::Device device) const {
  const Corpus& corpus = reading.corpus;
  BatchBuilder builder;
  for (const Pack& pack : packs) {
    for (const Piece& piece : pack) {
      const std::int64_t partner = Partner(corpus, piece.example);
      const auto prompt =
          corpus.Ids(piece.example).first(static_cast<std::size_t>(corpus.Prompt(piece.example)));
      const auto answer =
          corpus.Ids(partner).subspan(static_cast<std::size_t>(corpus.Prompt(partner)));
      std::vector<std::int32_t> ids(prompt.begin(), prompt.end());
      ids.insert(ids.end(), answer.begin(), answer.end());
      ids.resize(std::min(ids.size(), static_cast<std::size_t>(config_.max_seq_len)));
      for (std::size_t i = 0; i < ids.size(); ++i) {
        // A sequence's first token has no past to be predicted from.
        const bool predicted = i > 0 && i >= prompt.size();
        builder.Add(ids[i], predicted ? BatchBuilder::Role::kPredicted : BatchBuilder::Role::kRead);
      }
      builder.EndSequence({.domain = reading.domains[corpus.SourceOf(piece.example)],
                           .judgement = format::Judgement::kGood,
                           .reference = ValueOf(reading.mismatched, piece.example)});
    }
  }
  return std::move(builder).Build(device, kBatchMultiple);
}

}  // namespace metier::train
