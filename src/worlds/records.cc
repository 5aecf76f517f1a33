#include "worlds/records.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/check.h"
#include "base/hash.h"
#include "worlds/shape.h"

namespace metier::worlds {
namespace {

// Equal values as equal values of ordered JSON: names sorted, whole numbers without decimals.
Json Canonical(const Json& value) {
  if (value.is_object()) {
    std::vector<std::pair<std::string_view, const Json*>> fields;
    for (const auto& [name, field] : value.items()) fields.emplace_back(name, &field);
    std::sort(fields.begin(), fields.end());
    Json sorted = Json::object();
    // Through the underlying vector: Json's own insertion looks every name up.
    auto& object = sorted.get_ref<Json::object_t&>();
    for (const auto& [name, field] : fields) object.emplace_back(name, Canonical(*field));
    return sorted;
  }
  if (value.is_array()) {
    Json items = Json::array();
    for (const Json& item : value) items.push_back(Canonical(item));
    return items;
  }
  if (value.is_number_float()) {
    constexpr double kExact = 9007199254740992.0;  // 2^53
    const double number = value.get<double>();
    if (std::abs(number) <= kExact && number == std::trunc(number))
      return static_cast<std::int64_t>(number);
  }
  return value;
}

}  // namespace

Result<Table> Table::Create(std::string name, Json records, const Json& shape) {
  if (!records.is_object()) {
    return Error(ErrorCode::kInvalidArgument,
                 name + ": expected an object of records, {\"key\": {...}, ...}");
  }
  Table table(std::move(name));
  auto& entries = records.get_ref<Json::object_t&>();
  table.records_.reserve(entries.size());
  table.places_.reserve(entries.size());
  for (auto& [key, record] : entries) {
    METIER_TRY(
        CheckShape(shape, record, UnknownNames::kKept, table.name_ + " '" + key + "': field"));
    table.records_.emplace_back(key, std::move(record));
  }
  for (const auto& [key, record] : table.records_) table.places_.emplace(key, &record);
  return table;
}

const Json* Table::Find(std::string_view key) const {
  const auto found = places_.find(key);
  return found == places_.end() ? nullptr : found->second;
}

Records::Records(std::shared_ptr<const Database> initial)
    : initial_(std::move(initial)), changes_(initial_->size()) {}

std::size_t Records::TableIndex(std::string_view table) const {
  std::size_t index = 0;
  while (index < initial_->size() && (*initial_)[index].name() != table) ++index;
  METIER_CHECK(index < initial_->size(), "no such table in this world");
  return index;
}

const Json* Records::Find(std::string_view table, std::string_view key) const {
  const std::size_t index = TableIndex(table);
  if (const auto changed = changes_[index].find(key); changed != changes_[index].end())
    return &changed->second;
  return (*initial_)[index].Find(key);
}

Json* Records::Change(std::string_view table, std::string_view key) {
  const std::size_t index = TableIndex(table);
  if (const auto changed = changes_[index].find(key); changed != changes_[index].end())
    return &changed->second;
  const Json* initial = (*initial_)[index].Find(key);
  if (initial == nullptr) return nullptr;
  return &changes_[index].emplace(key, *initial).first->second;
}

void Records::Put(std::string_view table, std::string_view key, Json record) {
  changes_[TableIndex(table)].insert_or_assign(std::string(key), std::move(record));
}

void Records::Visit(std::string_view table,
                    FunctionRef<bool(const std::string& key, const Json& record)> visit) const {
  const std::size_t index = TableIndex(table);
  const Table& initial = (*initial_)[index];
  for (const auto& [key, record] : initial.records()) {
    const auto changed = changes_[index].find(key);
    if (!visit(key, changed == changes_[index].end() ? record : changed->second)) return;
  }
  for (const auto& [key, record] : changes_[index])
    if (initial.Find(key) == nullptr && !visit(key, record)) return;
}

std::string Records::Differences() const {
  Json differences = Json::object();
  for (std::size_t i = 0; i < changes_.size(); ++i) {
    Json& table = differences[(*initial_)[i].name()] = Json::object();
    for (const auto& [key, record] : changes_[i]) {
      const Json* initial = (*initial_)[i].Find(key);
      Json canonical = Canonical(record);
      if (initial == nullptr || Canonical(*initial) != canonical) table[key] = std::move(canonical);
    }
  }
  return DumpCompact(differences);
}

std::string Records::Digest() const { return Sha256Hex(Differences()); }

bool operator==(const Records& a, const Records& b) {
  METIER_CHECK(a.initial_ == b.initial_, "databases of two worlds are compared");
  return a.Differences() == b.Differences();
}

Json Records::Snapshot() const {
  Json snapshot = Json::object();
  for (const Table& table : *initial_) {
    Json& records = snapshot[table.name()] = Json::object();
    auto& object = records.get_ref<Json::object_t&>();
    Visit(table.name(), [&](const std::string& key, const Json& record) {
      object.emplace_back(key, record);
      return true;
    });
  }
  return snapshot;
}

}  // namespace metier::worlds
