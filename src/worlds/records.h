// worlds/records.h - the database of a world: tables of JSON records that conversations share, and
// each conversation's own changes on top.
//
//   Database (one a world, read-only)   users: {"mia_li_3668": {...}, ...}   orders: ...
//   Records  (one a conversation)       users: {"mia_li_3668": {...}}   <- only what was changed
//
// Starting a conversation, or trying something on a copy of one, costs what was changed and not the
// megabytes that were not.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/function_ref.h"
#include "base/json.h"
#include "base/result.h"

namespace metier::worlds {

// The records of one kind by their keys, in the order of their file.
class Table {
 public:
  // Takes an object of records. kInvalidArgument: a record that is not of the shape
  // (worlds/shape.h).
  static Result<Table> Create(std::string name, Json records, const Json& shape);
  Table(Table&&) noexcept = default;
  Table& operator=(Table&&) noexcept = default;
  Table(const Table&) = delete;  // places_ points into records_
  Table& operator=(const Table&) = delete;
  ~Table() = default;

  const std::string& name() const { return name_; }
  const std::vector<std::pair<std::string, Json>>& records() const { return records_; }
  const Json* Find(std::string_view key) const;  // nullptr: no such record

 private:
  explicit Table(std::string name) : name_(std::move(name)) {}

  std::string name_;
  std::vector<std::pair<std::string, Json>> records_;
  std::unordered_map<std::string_view, const Json*> places_;
};

using Database = std::vector<Table>;

// A database with changes. Copies are independent of each other.
// Threads: any number of Records over one Database; each of them on one thread.
class Records {
 public:
  explicit Records(std::shared_ptr<const Database> initial);

  // `table` is one of the database's: another name is a bug. nullptr: no such record. Pointers stay
  // valid, except that the first Change() of a record leaves Find()'s at its old content.
  const Json* Find(std::string_view table, std::string_view key) const;
  // The record to be written to: copied from the initial database when it is asked for first.
  Json* Change(std::string_view table, std::string_view key);
  // A new record, or another content for one.
  void Put(std::string_view table, std::string_view key, Json record);

  // All records of a table: those of the file in its order, then new ones by key. Ends early when
  // `visit` says false.
  void Visit(std::string_view table,
             FunctionRef<bool(const std::string& key, const Json& record)> visit) const;

  // SHA-256 of what differs from the initial database. Two conversations of one world have the same
  // digest when their databases are equal: names of objects in any order, lists in the same order,
  // 5 and 5.0 one number.
  std::string Digest() const;
  // Requires that both are over one database.
  friend bool operator==(const Records& a, const Records& b);

  // The whole database, {"users": {"mia_li_3668": ...}, ...}: megabytes.
  Json Snapshot() const;

 private:
  using Changes = std::map<std::string, Json, std::less<>>;

  std::size_t TableIndex(std::string_view table) const;
  std::string Differences() const;  // as canonical text

  std::shared_ptr<const Database> initial_;
  std::vector<Changes> changes_;  // a table each
};

}  // namespace metier::worlds
