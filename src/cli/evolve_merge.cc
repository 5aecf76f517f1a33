#include "cli/evolve_merge.h"

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/progress.h"
#include "base/thread_pool.h"
#include "cli/interrupt.h"
#include "cli/merge_models.h"
#include "cli/model_folder.h"
#include "engine/native_backend.h"
#include "engine/native_model.h"
#include "evaluate/backend_model.h"
#include "evaluate/perplexity.h"
#include "merge/evolve.h"
#include "merge/merge_config.h"
#include "merge/open_numbers.h"
#include "merge/plan.h"

namespace metier::cli {
namespace {

// Losses of a network on the texts of a configuration.
class Measure {
 public:
  Measure(const merge::EvolveEntry& evolve, const text::Tokenizer& tokenizer, std::int64_t threads)
      : evolve_(evolve), tokenizer_(tokenizer), threads_(static_cast<int>(threads)) {}

  // One loss a file: the mean negative log-likelihood of its tokens.
  Result<std::vector<double>> Losses(const model::ModelSpec& spec,
                                     const model::ParameterReader& read) const {
    METIER_ASSIGN(const auto network, engine::NativeModel::FromReader(spec, read));
    engine::NativeBackend backend(network, {.threads = threads_});
    METIER_ASSIGN(const auto model, evaluate::BackendModel::Create(backend));
    std::vector<double> losses;
    for (const merge::ObjectiveEntry& entry : evolve_.files) {
      const evaluate::PerplexityOptions options{.file = entry.file, .window = evolve_.window};
      METIER_ASSIGN(const evaluate::PerplexityResult result,
                    evaluate::MeasurePerplexity(*model, tokenizer_, options));
      losses.push_back(std::log(result.TokenPerplexity()));
    }
    return losses;
  }

  double ValueOf(const std::vector<double>& losses) const {
    double sum = 0;
    double weights = 0;
    for (std::size_t i = 0; i < losses.size(); ++i) {
      sum += evolve_.files[i].weight * losses[i];
      weights += evolve_.files[i].weight;
    }
    return sum / weights;
  }

  // What decides the figures beside the models.
  Result<Json> Inputs() const {
    Json files = Json::array();
    for (const merge::ObjectiveEntry& entry : evolve_.files) {
      METIER_ASSIGN(const std::string hash, Sha256OfFile(entry.file));
      files.push_back({{"sha256", hash}, {"weight", entry.weight}});
    }
    return Json{{"files", std::move(files)}, {"window", evolve_.window}};
  }

 private:
  const merge::EvolveEntry& evolve_;
  const text::Tokenizer& tokenizer_;
  int threads_;
};

// One search, its models open all the while.
class Search {
 public:
  Search(const EvolveRequest& request, const Json& document, const merge::MergePlan& first,
         const merge::EvolveEntry& evolve, const text::Tokenizer& tokenizer)
      : request_(request),
        document_(document),
        first_(first),
        evolve_(evolve),
        measure_(evolve, tokenizer, request.threads),
        pool_(request.threads > 0 ? static_cast<int>(request.threads)
                                  : ThreadPool::DefaultThreads()) {}

  Result<Json> Run() {
    METIER_ASSIGN(const Json hashes, HashModels(first_));
    METIER_ASSIGN(Json inputs, measure_.Inputs());
    inputs["models"] = hashes;
    const merge::EvolveOptions options{.generations = evolve_.generations,
                                       .population = evolve_.population,
                                       .sigma = evolve_.sigma,
                                       .seed = first_.config().seed,
                                       .inputs = std::move(inputs)};
    METIER_ASSIGN(const merge::Evolution found,
                  merge::Evolve(
                      document_, options, request_.out,
                      [this](const Json& config) { return ValueOf(config); },
                      ShowProgress("evolve", [this]() -> Status {
                        if (!InterruptGuard::asked()) return Ok();
                        return Error(ErrorCode::kInvalidArgument,
                                     fmt::format("interrupted; the same command goes on from the "
                                                 "last generation in '{}'",
                                                 request_.out));
                      })));
    return Report(found, hashes);
  }

 private:
  Result<merge::MergePlan> PlanOf(const Json& config) const {
    METIER_ASSIGN(const merge::MergeConfig parsed, merge::ParseMergeConfig(config));
    return merge::MergePlan::Create(parsed, first_.models());
  }

  Result<std::vector<double>> LossesOf(const merge::MergePlan& plan) {
    return measure_.Losses(plan.spec(), [&](const std::string& name) -> Result<tensor::Tensor> {
      METIER_ASSIGN(tensor::Tensor merged, plan.Read(name, pool_));
      METIER_TRY(merge::RoundTo(plan.dtype(), merged));
      return merged;
    });
  }

  Result<double> ValueOf(const Json& config) {
    METIER_ASSIGN(const merge::MergePlan plan, PlanOf(config));
    METIER_ASSIGN(const std::vector<double> losses, LossesOf(plan));
    return measure_.ValueOf(losses);
  }

  Result<Json> Report(const merge::Evolution& found, const Json& hashes) {
    METIER_ASSIGN(const merge::MergePlan best, PlanOf(found.config));
    const std::string merged = request_.out + "/merged";
    FolderInTheMaking folder(merged);
    METIER_TRY(WriteMerge(best, found.config, hashes, folder.path(), merged));
    METIER_TRY(folder.Finish());
    METIER_ASSIGN(const std::vector<double> losses, LossesOf(best));
    Json of_files = Json::object();
    for (std::size_t i = 0; i < losses.size(); ++i) of_files[evolve_.files[i].file] = losses[i];
    Json of_models = Json::object();
    for (const auto& [name, source] : first_.models()) {
      METIER_ASSIGN(const std::vector<double> alone, measure_.Losses(source.spec, source.read));
      of_models[name] = measure_.ValueOf(alone);
    }
    Json values = Json::object();
    for (std::size_t i = 0; i < found.open.size(); ++i)
      values[found.open[i].path] = found.numbers[i];
    return Json{{"out", request_.out},
                {"merged", merged},
                {"best_config", request_.out + "/best.yml"},
                {"start", found.start},
                {"best", found.best},
                {"generations", found.generations.size()},
                {"evaluations", found.evaluations},
                {"values", std::move(values)},
                {"losses", std::move(of_files)},
                {"models", std::move(of_models)}};
  }

  const EvolveRequest& request_;
  const Json& document_;
  const merge::MergePlan& first_;
  const merge::EvolveEntry& evolve_;
  Measure measure_;
  ThreadPool pool_;
};

// The document with every open number at its start: what tells whether the rest of it is right.
Result<Json> AtStart(const Json& document) {
  METIER_ASSIGN(const std::vector<merge::OpenNumber> open, merge::FindOpenNumbers(document));
  std::vector<double> numbers;
  numbers.reserve(open.size());
  for (const merge::OpenNumber& number : open) numbers.push_back(number.start);
  return merge::FillOpenNumbers(document, numbers);
}

}  // namespace

Result<Json> EvolveMerge(const EvolveRequest& request) {
  METIER_ASSIGN(const Json document, ReadYamlFile(request.config));
  METIER_ASSIGN(const Json start, AtStart(document));
  METIER_ASSIGN(const merge::MergePlan plan, PlanMerge(start));
  const std::optional<merge::EvolveEntry>& evolve = plan.config().evolve;
  if (!evolve || evolve->files.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 "evolve: absent; it names the held-out texts: evolve: {files: [{file: law.txt}]}");
  }
  METIER_ASSIGN(const std::optional<text::Tokenizer> tokenizer,
                merge::FindTokenizer(plan.config().tokenizer_source));
  if (!tokenizer) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("'{}' has no tokenizer: texts cannot be measured",
                             plan.config().tokenizer_source));
  }
  return Search(request, document, plan, *evolve, *tokenizer).Run();
}

}  // namespace metier::cli
