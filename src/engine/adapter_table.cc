#include "engine/adapter_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"

namespace metier::engine {

using model::AdapterId;

namespace {

Error Invalid(std::string message) {
  return Error(ErrorCode::kInvalidArgument, std::move(message));
}

std::int64_t NumberOf(AdapterId adapter) { return static_cast<std::int64_t>(adapter); }

bool ChoosesForSequences(const LoadedAdapter& adapter) {
  return adapter.mixing() != nullptr &&
         adapter.mixing()->mixture->by() == model::RouteBy::kSequence &&
         adapter.mixing()->fixed.empty();
}

}  // namespace

Result<const AdapterTable::Entry*> AdapterTable::FindEntry(AdapterId adapter) const {
  const auto found = entries_.find(adapter);
  if (found == entries_.end())
    return Invalid(fmt::format("no adapter with id {} is loaded", NumberOf(adapter)));
  return &found->second;
}

AdapterId AdapterTable::Insert(Entry entry) {
  const AdapterId id{next_++};
  entries_.emplace(id, std::move(entry));
  return id;
}

Result<AdapterId> AdapterTable::Add(const model::Adapter& adapter) {
  METIER_ASSIGN(LoadedAdapter loaded, LoadedAdapter::Create(adapter, weights_, type_));
  return Insert({.loaded = std::move(loaded)});
}

Result<AdapterId> AdapterTable::AddMixture(const model::AdapterMixture& mixture,
                                           std::span<const AdapterId> experts) {
  std::vector<const LoadedAdapter*> loaded;
  for (const AdapterId expert : experts) {
    METIER_ASSIGN(const Entry* entry, FindEntry(expert));
    loaded.push_back(&entry->loaded);
  }
  METIER_ASSIGN(LoadedMixture mixed, LoadedMixture::Create(mixture, loaded, weights_));
  Mixing mixing{.mixture = std::make_shared<const LoadedMixture>(std::move(mixed))};
  return Insert({.loaded = LoadedAdapter::Of(std::move(mixing), weights_),
                 .needs = {experts.begin(), experts.end()}});
}

AdapterId AdapterTable::AddRouted(AdapterId mixture, const std::vector<RowChoice>& choices) {
  const auto found = entries_.find(mixture);
  METIER_CHECK(found != entries_.end() && ChoosesForSequences(found->second.loaded),
               "a mixture by sequence");
  const std::shared_ptr<const LoadedMixture>& mixed = found->second.loaded.mixing()->mixture;
  std::vector<std::uint32_t> bits;
  for (const RowChoice& choice : choices) {
    for (std::size_t k = 0; k < mixed->top_k(); ++k) {
      bits.push_back(static_cast<std::uint32_t>(choice.experts[k]));
      bits.push_back(std::bit_cast<std::uint32_t>(choice.weights[k]));
    }
  }
  if (const auto known = found->second.routed.find(bits); known != found->second.routed.end())
    return known->second;
  const AdapterId id =
      Insert({.loaded = LoadedAdapter::Of({.mixture = mixed, .fixed = choices}, weights_),
              .needs = {mixture}});
  found->second.routed.emplace(std::move(bits), id);
  return id;
}

std::vector<AdapterId> AdapterTable::OldRoutes(AdapterId mixture, std::size_t newest) const {
  const auto found = entries_.find(mixture);
  METIER_CHECK(found != entries_.end(), "a mixture that is loaded");
  std::vector<AdapterId> routes;
  if (found->second.routed.size() <= newest) return routes;
  for (const auto& [choice, id] : found->second.routed) routes.push_back(id);
  std::sort(routes.begin(), routes.end());  // ids rise
  routes.resize(routes.size() - newest);
  return routes;
}

const LoadedAdapter* AdapterTable::Find(AdapterId adapter) const {
  const auto found = entries_.find(adapter);
  return found == entries_.end() ? nullptr : &found->second.loaded;
}

Result<std::shared_ptr<const LoadedMixture>> AdapterTable::FindBySequence(AdapterId adapter) const {
  METIER_ASSIGN(const Entry* entry, FindEntry(adapter));
  if (ChoosesForSequences(entry->loaded)) return entry->loaded.mixing()->mixture;
  return Invalid(
      fmt::format("adapter {} is no mixture that chooses for whole sequences; open the "
                  "sequence with it as it is",
                  NumberOf(adapter)));
}

Status AdapterTable::CheckUsable(AdapterId adapter) const {
  if (adapter == AdapterId::kNone) return Ok();
  METIER_ASSIGN(const Entry* entry, FindEntry(adapter));
  if (!ChoosesForSequences(entry->loaded)) return Ok();
  return Invalid(
      fmt::format("adapter {} is a mixture that chooses for whole sequences; open the "
                  "sequence with what RouteSequence says of its prompt",
                  NumberOf(adapter)));
}

Status AdapterTable::CheckRemovable(AdapterId adapter) const {
  METIER_TRY(FindEntry(adapter));
  for (const auto& [id, entry] : entries_) {
    if (std::find(entry.needs.begin(), entry.needs.end(), adapter) == entry.needs.end()) continue;
    return Invalid(
        fmt::format("adapter {} is in use by adapter {}, a mixture or what a sequence "
                    "was routed to; remove that first",
                    NumberOf(adapter), NumberOf(id)));
  }
  return Ok();
}

void AdapterTable::Remove(AdapterId adapter) {
  for (auto& [id, entry] : entries_)
    std::erase_if(entry.routed, [&](const auto& routed) { return routed.second == adapter; });
  entries_.erase(adapter);
}

}  // namespace metier::engine
