// retail/sqlite.h - SQLite connections and statements that close themselves; errors as Results.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace metier::retail {

enum class OpenMode { kCreate, kRead };

class Sqlite {
 public:
  static Result<Sqlite> Open(const std::string& path, OpenMode mode);
  Sqlite(Sqlite&& other) noexcept;
  Sqlite& operator=(Sqlite&&) = delete;
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;
  ~Sqlite();

  // Runs statements that return no rows.
  Status Run(const std::string& sql);

  sqlite3* handle() const { return handle_; }
  Error LastError(std::string_view doing) const;

 private:
  explicit Sqlite(sqlite3* handle) : handle_(handle) {}
  sqlite3* handle_;
};

// A prepared statement; borrows the connection.
class Statement {
 public:
  static Result<Statement> Prepare(const Sqlite& database, const std::string& sql);
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  // Binds the parameters in order and runs an insertion once.
  template <class... Values>
  Status Insert(const Values&... values) {
    int place = 0;
    (Bind(++place, values), ...);
    return Finish();
  }

  // The next row: true, or false after the last.
  Result<bool> Next();
  std::int64_t Number(int column) const;
  std::string Text(int column) const;
  bool IsNull(int column) const;

 private:
  Statement(const Sqlite* database, sqlite3_stmt* handle) : database_(database), handle_(handle) {}
  void Bind(int place, std::int64_t value);
  void Bind(int place, int value) { Bind(place, static_cast<std::int64_t>(value)); }
  void Bind(int place, std::size_t value) { Bind(place, static_cast<std::int64_t>(value)); }
  void Bind(int place, std::string_view value);
  Status Finish();

  const Sqlite* database_;
  sqlite3_stmt* handle_;
};

}  // namespace metier::retail
