#include "train/hyper_tasks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "base/rng.h"

namespace metier::train {
namespace {

// Of everything but where it comes from and how fast it computes.
Status CheckShape(const model::HyperFiles& found, const recipe::HyperConfig& asked,
                  const std::string& folder) {
  const auto words = [](std::int64_t rank, double alpha, const std::vector<std::string>& targets,
                        std::int64_t latent, std::int64_t blocks) {
    return fmt::format("rank {}, alpha {:g}, target_modules [{}], latent_size {}, blocks {}", rank,
                       alpha, fmt::join(targets, ", "), latent, blocks);
  };
  const std::string has =
      words(found.rank, found.alpha, found.target_modules, found.latent_size, found.blocks);
  const std::string wants =
      words(asked.rank, asked.alpha, asked.target_modules, asked.latent_size, asked.blocks);
  if (has == wants) return Ok();
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("hypernetwork '{}' has {}, the configuration asks for {}; write them as "
                           "it has them",
                           folder, has, wants));
}

}  // namespace

Status CheckBase(const model::HyperFiles& config, const std::string& folder,
                 const std::string& model, const std::string& found) {
  if (config.base_hash == found) return Ok();
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("hypernetwork '{}' was trained on a base of hash {}, '{}' has {}; what "
                           "it writes fits that base alone, which was '{}' then",
                           folder, config.base_hash, model, found, config.base_model));
}

std::int64_t CountDescriptions(const recipe::HyperConfig& config) {
  std::int64_t count = 0;
  for (const recipe::HyperTask& task : config.tasks)
    count += static_cast<std::int64_t>(task.descriptions.size());
  return count;
}

Result<HyperTasks> HyperTasks::Open(const recipe::TrainConfig& config,
                                    const std::optional<std::string>& checkpoint,
                                    const Network& base, const std::string& base_hash) {
  const recipe::HyperConfig& hyper = *config.hyper;
  const at::ScalarType real = base.options().precision.real;
  const at::Device device = base.options().device;
  const std::string& from = checkpoint ? *checkpoint : hyper.hypernetwork;
  Result<Hypernetwork> found =
      from.empty() ? Hypernetwork::Create(base.spec(), hyper,
                                          static_cast<std::uint64_t>(config.seed), real, device)
                   : Hypernetwork::Load(base.spec(), from, real, device);
  METIER_ASSIGN(Hypernetwork hypernetwork, std::move(found));
  if (!from.empty()) {
    METIER_TRY(CheckBase(hypernetwork.config(), from, config.model, base_hash));
    METIER_TRY(CheckShape(hypernetwork.config(), hyper, from));
  }
  HyperTasks tasks(std::move(hypernetwork));
  METIER_TRY(tasks.ReadDescriptions(hyper, base));
  const bool reconstructs = recipe::Reconstructs(config);
  if (reconstructs) METIER_TRY(tasks.LoadAdapters(hyper, base));
  tasks.squares_ = hyper.distance == "l2";
  if (!from.empty()) return tasks;
  tasks.hypernetwork_.Standardise(tasks.items_);
  if (reconstructs) tasks.hypernetwork_.BeginAt(tasks.adapters_);
  return tasks;
}

Status HyperTasks::ReadDescriptions(const recipe::HyperConfig& config, const Network& base) {
  std::vector<at::Tensor> all;
  for (std::size_t t = 0; t < config.tasks.size(); ++t) {
    const recipe::HyperTask& task = config.tasks[t];
    if (task.description_ids.size() != task.descriptions.size()) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("hyper.tasks '{}': {} descriptions and {} lists of ids; 'metier "
                               "train' fills description_ids",
                               task.name, task.descriptions.size(), task.description_ids.size()));
    }
    std::vector<at::Tensor> rows;
    for (const std::vector<std::int64_t>& ids : task.description_ids) {
      auto row = ReadDescription(base, ids);
      if (!row.ok()) return std::move(row).error().With("hyper.tasks '" + task.name + "'");
      rows.push_back(*row);
    }
    descriptions_.push_back(at::stack(rows));
    item_tasks_.insert(item_tasks_.end(), rows.size(), static_cast<std::int64_t>(t));
    all.insert(all.end(), rows.begin(), rows.end());
  }
  items_ = at::stack(all);
  return Ok();
}

Status HyperTasks::LoadAdapters(const recipe::HyperConfig& config, const Network& base) {
  recipe::LoraConfig lora;
  lora.rank = config.rank;
  lora.alpha = config.alpha;
  lora.target_modules = config.target_modules;
  for (const recipe::HyperTask& task : config.tasks) {
    METIER_ASSIGN(const LoraSet set,
                  LoraSet::Continue(base.spec(), lora, task.adapter, base.options().precision.real,
                                    base.options().device));
    std::vector<LoraSet::Factors> factors;
    // In the order of the hypernetwork's: both are of one selection of one model's modules.
    for (const LoraModule& module : set.modules())
      factors.push_back({module.a.detach(), module.b.detach()});
    adapters_.push_back(std::move(factors));
  }
  return Ok();
}

LoraSet HyperTasks::AdapterOf(std::size_t task, std::uint64_t key) const {
  const at::Tensor& all = descriptions_[task];
  const auto count = static_cast<std::uint64_t>(all.size(0));
  const std::uint64_t drawn = key == 0 ? 0 : Rng(key, task).Below(count);
  return hypernetwork_.AdapterFor(all[static_cast<std::int64_t>(drawn)]);
}

at::Tensor HyperTasks::Distance(const std::vector<std::int64_t>& items,
                                ReconstructionCounts& counts) const {
  const at::Tensor rows = torch::tensor(items, at::kLong).to(items_.device());
  const std::vector<LoraSet::Factors> written = hypernetwork_.Write(items_.index_select(0, rows));
  at::Tensor sum;
  std::int64_t numbers = 0;  // of an adapter
  const auto compare = [&](const at::Tensor& ours, const at::Tensor& theirs,
                           const at::Tensor& deviation) {
    const at::Tensor apart = ours - theirs;
    const at::Tensor standard = apart / deviation;
    const at::Tensor term = (squares_ ? standard.square() : standard.abs()).sum();
    sum = sum.defined() ? sum + term : term;
    numbers += theirs[0].numel();
    const torch::NoGradGuard no_grad;
    counts.error += apart.square().sum(at::kDouble).item<double>();
    counts.size += theirs.square().sum(at::kDouble).item<double>();
  };
  for (std::size_t m = 0; m < written.size(); ++m) {
    std::vector<at::Tensor> a;
    std::vector<at::Tensor> b;
    for (const std::int64_t item : items) {
      const auto task = static_cast<std::size_t>(item_tasks_[static_cast<std::size_t>(item)]);
      a.push_back(adapters_[task][m].a);
      b.push_back(adapters_[task][m].b);
    }
    const LoraSet::Factors deviations = hypernetwork_.DeviationsOf(m);
    compare(written[m].a, at::stack(a), deviations.a);
    compare(written[m].b, at::stack(b), deviations.b);
  }
  return sum / static_cast<double>(numbers);
}

at::Tensor MeanSquare(const LoraSet& adapter) {
  at::Tensor sum;
  std::int64_t numbers = 0;
  for (const LoraModule& module : adapter.modules()) {
    const at::Tensor term = module.a.square().sum() + module.b.square().sum();
    sum = sum.defined() ? sum + term : term;
    numbers += module.a.numel() + module.b.numel();
  }
  return sum / static_cast<double>(numbers);
}

}  // namespace metier::train
