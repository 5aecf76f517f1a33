#include "merge/evolve.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/hash.h"
#include "base/svg_plot.h"
#include "merge/cma_es.h"

namespace metier::merge {
namespace {

constexpr const char* kState = "state.json";
constexpr const char* kBest = "best.yml";
constexpr const char* kPlot = "generations.svg";

// JSON has no infinity: a value that is not finite is null.
Json FigureJson(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Result<double> ReadFigure(const Json& object, const char* key, double otherwise) {
  const auto found = object.find(key);
  if (found == object.end() || (!found->is_number() && !found->is_null()))
    return Error(ErrorCode::kDataCorrupt, fmt::format("no number \"{}\"", key));
  return found->is_null() ? otherwise : found->get<double>();
}

class Evolver {
 public:
  Evolver(const Json& document, const EvolveOptions& options, std::string folder,
          const Objective& objective, const OnProgress& progress)
      : document_(document),
        options_(options),
        folder_(std::move(folder)),
        objective_(objective),
        progress_(progress) {}

  Result<Evolution> Run() {
    METIER_ASSIGN(run_.open, FindOpenNumbers(document_));
    METIER_TRY(MakeDirectories(folder_));
    METIER_TRY(Begin());
    while (search_->generation() < options_.generations) METIER_TRY(Generation());
    run_.config = Filled(run_.numbers);
    METIER_TRY(WriteBest());
    return std::move(run_);
  }

 private:
  std::string PathOf(const char* name) const { return fmt::format("{}/{}", folder_, name); }

  // Points of the search lie in [0, 1]; ranges of very different widths are one to it.
  std::vector<double> NumbersAt(const std::vector<double>& point) const {
    std::vector<double> numbers(point.size());
    for (std::size_t i = 0; i < point.size(); ++i) {
      const OpenNumber& open = run_.open[i];
      numbers[i] = std::clamp(open.low + point[i] * (open.high - open.low), open.low, open.high);
    }
    return numbers;
  }

  Json Filled(const std::vector<double>& numbers) const {
    Json config = FillOpenNumbers(document_, numbers);
    config.erase("evolve");
    return config;
  }

  // What must be the same for a run to go on; more generations may be asked for.
  std::string Fingerprint() const {
    Json config = document_;
    config.erase("evolve");
    return Sha256Hex(DumpCompact({{"config", std::move(config)},
                                  {"inputs", options_.inputs},
                                  {"population", options_.population},
                                  {"sigma", options_.sigma},
                                  {"seed", options_.seed}}));
  }

  std::uint64_t Total() const {
    return 1 + static_cast<std::uint64_t>(options_.generations * search_->population());
  }

  Status Begin() {
    std::error_code ignored;
    if (std::filesystem::exists(PathOf(kState), ignored)) {
      auto restored = Restore();
      if (restored.ok() || restored.error().code() != ErrorCode::kDataCorrupt) return restored;
      return std::move(restored).error().With(PathOf(kState));
    }
    CmaEsOptions search{
        .sigma = options_.sigma, .population = options_.population, .seed = options_.seed};
    for (const OpenNumber& open : run_.open) {
      search.start.push_back((open.start - open.low) / (open.high - open.low));
      search.lower.push_back(0);
      search.upper.push_back(1);
    }
    std::vector<double> start;
    for (const OpenNumber& open : run_.open) start.push_back(open.start);
    METIER_ASSIGN(CmaEs created, CmaEs::Create(std::move(search)));
    search_ = std::move(created);
    METIER_ASSIGN(run_.start, Value(start));
    return Save();
  }

  Status Restore() {
    METIER_ASSIGN(const Json state, ReadJsonFile(PathOf(kState)));
    const bool complete = state.is_object() && state.contains("fingerprint") &&
                          state.contains("search") && state.contains("numbers") &&
                          state.contains("generations") && state["generations"].is_array() &&
                          state["numbers"].is_array() &&
                          state["numbers"].size() == run_.open.size();
    if (!complete) return Error(ErrorCode::kDataCorrupt, "not the state of a run");
    if (state["fingerprint"] != Fingerprint()) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("'{}' holds a run of another configuration, or of other models or "
                               "texts; choose another folder, or remove it",
                               folder_));
    }
    METIER_ASSIGN(CmaEs restored, CmaEs::FromJson(state["search"]));
    if (restored.dimensions() != static_cast<std::int64_t>(run_.open.size()))
      return Error(ErrorCode::kDataCorrupt, "a search of another number of dimensions");
    search_ = std::move(restored);
    const double never = std::numeric_limits<double>::infinity();
    METIER_ASSIGN(run_.start, ReadFigure(state, "start", never));
    METIER_ASSIGN(run_.best, ReadFigure(state, "best", never));
    METIER_ASSIGN(const double evaluations, ReadFigure(state, "evaluations", 0));
    run_.evaluations = static_cast<std::int64_t>(evaluations);
    for (const Json& number : state["numbers"]) {
      if (!number.is_number())
        return Error(ErrorCode::kDataCorrupt, "\"numbers\" holds no numbers");
      run_.numbers.push_back(number.get<double>());
    }
    for (const Json& row : state["generations"]) {
      if (!row.is_object()) return Error(ErrorCode::kDataCorrupt, "\"generations\" holds no rows");
      GenerationRecord record;
      METIER_ASSIGN(record.best, ReadFigure(row, "best", never));
      METIER_ASSIGN(record.mean, ReadFigure(row, "mean", never));
      METIER_ASSIGN(record.sigma, ReadFigure(row, "sigma", never));
      METIER_ASSIGN(record.best_so_far, ReadFigure(row, "best_so_far", never));
      run_.generations.push_back(record);
    }
    if (static_cast<std::int64_t>(run_.generations.size()) != search_->generation())
      return Error(ErrorCode::kDataCorrupt, "rows that are not one for each generation");
    return Ok();
  }

  Result<double> Value(const std::vector<double>& numbers) {
    METIER_TRY(Report(progress_, static_cast<std::uint64_t>(run_.evaluations), Total(),
                      std::isfinite(run_.best) ? fmt::format("best {:.6g}", run_.best) : ""));
    METIER_ASSIGN(const double value, objective_(Filled(numbers)));
    ++run_.evaluations;
    if (value < run_.best || run_.numbers.empty()) {
      run_.numbers = numbers;
      if (value < run_.best) run_.best = value;
    }
    return value;
  }

  Status Generation() {
    const Evolution before = run_;  // an interrupted generation counts for nothing
    std::vector<double> values;
    for (const std::vector<double>& point : search_->Ask()) {
      auto value = Value(NumbersAt(point));
      if (!value.ok()) {
        run_ = before;
        return std::move(value).error();
      }
      values.push_back(*value);
    }
    METIER_TRY(search_->Tell(values));
    GenerationRecord record;
    record.best = std::numeric_limits<double>::infinity();
    std::int64_t finite = 0;
    for (const double value : values) {
      if (!std::isfinite(value)) continue;
      record.best = std::min(record.best, value);
      record.mean += value;
      ++finite;
    }
    record.mean = finite > 0 ? record.mean / static_cast<double>(finite) : record.best;
    record.sigma = search_->sigma();
    record.best_so_far = run_.best;
    run_.generations.push_back(record);
    METIER_TRY(Save());
    return Report(progress_, static_cast<std::uint64_t>(run_.evaluations), Total(),
                  fmt::format("best {:.6g}", run_.best));
  }

  // The state last: where it is new, what it describes is new as well.
  Status Save() {
    METIER_TRY(WriteBest());
    METIER_TRY(WritePlot());
    Json rows = Json::array();
    for (const GenerationRecord& record : run_.generations) {
      rows.push_back({{"best", FigureJson(record.best)},
                      {"mean", FigureJson(record.mean)},
                      {"sigma", FigureJson(record.sigma)},
                      {"best_so_far", FigureJson(record.best_so_far)}});
    }
    const Json state = {{"fingerprint", Fingerprint()},    {"search", search_->ToJson()},
                        {"evaluations", run_.evaluations}, {"start", FigureJson(run_.start)},
                        {"best", FigureJson(run_.best)},   {"numbers", run_.numbers},
                        {"generations", std::move(rows)}};
    return WriteFileAtomic(PathOf(kState), DumpPretty(state));
  }

  Status WriteBest() const {
    return WriteFileAtomic(PathOf(kBest), DumpYaml(Filled(run_.numbers)));
  }

  Status WritePlot() const {
    PlotLine best{.label = "best so far", .x = {0}, .y = {run_.start}, .colour = 0};
    PlotLine mean{.label = "mean of a generation", .x = {0}, .y = {run_.start}, .colour = 1};
    PlotLine start{.label = "start", .x = {0}, .y = {run_.start}, .colour = 2};
    for (const GenerationRecord& record : run_.generations) {
      const auto generation = static_cast<double>(best.x.size());
      for (PlotLine* line : {&best, &mean, &start}) line->x.push_back(generation);
      best.y.push_back(record.best_so_far);
      mean.y.push_back(record.mean);
      start.y.push_back(run_.start);
    }
    METIER_ASSIGN(const std::string svg, SvgPlot({.title = "merge evolve",
                                                  .x_label = "generation",
                                                  .y_label = "value",
                                                  .lines = {best, mean, start}}));
    return WriteFileAtomic(PathOf(kPlot), svg);
  }

  const Json& document_;
  const EvolveOptions& options_;
  std::string folder_;
  const Objective& objective_;
  const OnProgress& progress_;
  Evolution run_;
  std::optional<CmaEs> search_;
};

}  // namespace

Result<Evolution> Evolve(const Json& document, const EvolveOptions& options,
                         const std::string& folder, const Objective& objective,
                         const OnProgress& progress) {
  return Evolver(document, options, folder, objective, progress).Run();
}

}  // namespace metier::merge
